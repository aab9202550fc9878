"""A scenario on a network from a file: it comes up, carries calls, loses a fibre and keeps what the policy forbids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SAMPLE = REPOSITORY / "tests" / "samples" / "topologies" / "Kystnett.graphml"

SCENARIO = """
name: coast
description: calls on a map of the Topology Zoo's kind, and a fibre that is cut
network: {from: maps/coast.graphml, sites: 40, seed: 1}
policy: national
duration: 3 s
timeline:
  cut: {at: 1 s, fail: {link: trondheim-bodo}}
  mended: {at: 2 s, restore: {link: trondheim-bodo}}
phases: {before: {from: start, to: cut}}
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
checks:
  isolation: {metric: leaked, limit: "== 0"}
  heard: {metric: received, class: voice, over: together, limit: "> 0"}
"""


def test_a_published_map_runs(tmp_path: Path) -> None:
    """The file is looked for beside the scenario, wherever the run is started."""
    home = tmp_path / "mine"
    (home / "maps").mkdir(parents=True)
    shutil.copy(SAMPLE, home / "maps" / "coast.graphml")
    (home / "coast.yaml").write_text(SCENARIO)
    done = subprocess.run(
        [sys.executable, "-m", "helsewan.cli.main", "scenario", "run", "mine/coast.yaml"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout + done.stderr  # void where the machine is too busy
    result = json.loads((tmp_path / "results/coast/latest/result.json").read_text())
    checks = {check["name"]: check["passed"] for check in result["checks"]}
    assert checks == {"isolation": True, "heard": True}, done.stdout
