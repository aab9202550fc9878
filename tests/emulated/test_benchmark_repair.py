"""The repair benchmark's rig, with one real failure: a known silence and a repair are seen for what they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.repair.disruption import KNOWN_S, WRONG_MS
from helsewan.emulation.sandbox import sandbox

pytestmark = [pytest.mark.alone, pytest.mark.exhaustive]

LONGER_US = 4_000
FLOWS = 2
ROOT = Path(__file__).parents[2]


def test_the_rig_measures_something(tmp_path: Path) -> None:
    """What runs on the machine besides may make a gap longer, never shorter than the way around takes longer."""
    arguments = [str(tmp_path), "helsewan", "300", "no-python-for-ryu", str(LONGER_US), "next=1"]
    argv = sandbox.command([sys.executable, "-m", "benchmarks.sandboxed.repair", *arguments])
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert abs(found["known_silence_error_ms"]) < min(WRONG_MS, KNOWN_S * 1000)
    assert len(found["rows"]) == FLOWS
    for row in found["rows"]:
        assert row["lost"] > 0, "the line carried the flow when it was cut"
        assert row["gap_ms"] > 1.5, "an interval, and the longer way"
        assert row["reordered_returning"] > 0, "the way back is shorter by more than an interval"
