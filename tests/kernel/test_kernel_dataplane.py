"""The kernel dataplane on a kernel that has its parts: run by `make test-kernel`, in a guest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from helsewan.emulation.kernel.probe import missing

REPOSITORY = Path(__file__).parents[2]


def test_the_kernel_has_every_part() -> None:
    """Whatever else is tested here would say nothing of a kernel that lacks one."""
    assert missing() == ()


def test_a_network_comes_up_loses_a_fibre_and_keeps_what_the_policy_forbids(tmp_path: Path) -> None:
    """A scenario from the command line, judged; void is what emulated instructions may make of it, but no leak."""
    scenario = Path(__file__).with_name("fibre-cut.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "helsewan.cli.main", "scenario", "run", str(scenario), "--dataplane", "kernel"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout + done.stderr
    result = json.loads((tmp_path / "results/fibre-cut/latest/result.json").read_text())
    assert "dataplane" in result, result["validity"]  # else it was never judged, and this says why
    assert result["dataplane"] == "kernel" and result["scheduling"] is None
    assert all(check["passed"] for check in result["checks"]) and result["checks"], done.stdout
    assert not [demand for demand in result["keeping_up"] if "link" in demand["name"]]
