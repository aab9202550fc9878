"""A scenario on a network from a file: it starts, carries calls, survives a link failure and enforces isolation."""

from __future__ import annotations

import shutil
from pathlib import Path

from short_run import REPOSITORY, result_of, scenario, start_file

SAMPLE = REPOSITORY / "tests" / "samples" / "topologies" / "Kystnett.graphml"


ASCII = ("env", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONIOENCODING=ascii")


def test_a_published_map_runs(tmp_path: Path) -> None:
    """The network file is relative to the scenario file, wherever the run is started, in a locale without UTF-8 too."""
    home = tmp_path / "mørk"
    (home / "maps").mkdir(parents=True)
    shutil.copy(SAMPLE, home / "maps" / "coast.graphml")
    network = "{from: maps/coast.graphml, sites: 40, seed: 1}"
    (home / "coast.yaml").write_text(scenario("coast", network, "trondheim-bodo"))
    run = start_file(tmp_path, "mørk/coast.yaml", ASCII)
    output, _ = run.communicate()
    assert run.returncode in (0, 3), output  # void where the machine is too busy
    checks = {check["name"]: check["passed"] for check in result_of(tmp_path, "coast")["checks"]}
    assert checks == {"isolation": True, "heard": True}, output
