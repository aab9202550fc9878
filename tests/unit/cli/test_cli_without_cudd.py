"""`dd` without CUDD (arm64, musl, a new Python): what proves refuses in one line before any work; all else runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import helsewan

from helsewan.common.exit_codes import ExitCode

VERIFYING = """
name: proves
description: nothing but a proof
network: {sites: 90, seed: 1}
policy: open
duration: 2 s
verify: {rules: {start: start}}
traffic:
  calls: {kind: voice, service: udp, count: 1, from: {kind: [hospital]}, to: {kind: [hospital]}}
checks:
  heard: {metric: received, class: best-effort, over: together, limit: "> 0"}
"""
REFUSED = {
    "verify": ["verify", "--policy", "open", "--sites", "90", "--witness", "witness", "--junit", "report.xml"],
    "verify, live": ["verify", "--live"],
    "mutate": ["mutate", "--number", "1"],
    "rules packets": ["rules", "packets", "a", "b", "--policy", "open"],
    "a scenario of ours": ["scenario", "run", "isolation"],
    "a scenario with verify": ["scenario", "run", "proves.yaml"],
}
RUNS = {
    "help": ["verify", "--help"],
    "topology": ["topology", "show", "--sites", "90"],
    "policy check": ["policy", "check", "open", "--sites", "90"],
    "policy diff": ["policy", "diff", "open", "national", "--sites", "90"],
    "rules dump": ["rules", "dump", "--policy", "open", "--sites", "90", "--output", "rules.jsonl"],
}


def without_cudd(directory: Path, argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command line where `dd` has no CUDD."""
    (directory / "proves.yaml").write_text(VERIFYING)
    return helsewan(*argv, cwd=directory, without="dd.cudd")


@pytest.mark.parametrize("case", REFUSED)
def test_what_proves_refuses(case: str, tmp_path: Path) -> None:
    done = without_cudd(tmp_path, REFUSED[case])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ExitCode.BAD_INPUT, "", 1), done.stderr
    assert done.stderr.startswith("library: 'dd.cudd' is needed for proofs") and "DD_CUDD=1" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["proves.yaml"]


@pytest.mark.parametrize("case", RUNS)
def test_what_proves_nothing_runs(case: str, tmp_path: Path) -> None:
    done = without_cudd(tmp_path, RUNS[case])
    assert done.returncode == ExitCode.PASS, done.stderr


def test_the_doctor_says_how_to_build_it(tmp_path: Path) -> None:
    items = json.loads(without_cudd(tmp_path, ["doctor", "--json"]).stdout)["items"]
    item = next(item for item in items if "CUDD" in item["name"])
    assert item["status"] == "warning" and f"DD_CUDD=1 {sys.executable} -m pip install" in item["do"]
    assert "--no-cache-dir" in item["do"]  # or pip takes the wheel without CUDD that it built before
