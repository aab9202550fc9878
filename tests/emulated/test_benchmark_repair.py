"""The repair benchmark with one real failure: a known silence and a repair are measured correctly."""

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


def test_the_benchmark_measures_a_real_failure(tmp_path: Path) -> None:
    """Other programs on the machine may make a gap longer, never shorter than the difference of the delays."""
    arguments = [str(tmp_path), "helsewan", "300", "no-python-for-ryu", "0", str(LONGER_US), "next=1"]
    argv = sandbox.command([sys.executable, "-m", "benchmarks.sandboxed.repair", *arguments])
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert abs(found["known_silence_error_ms"]) < min(WRONG_MS, KNOWN_S * 1000)
    assert len(found["rows"]) == FLOWS
    for row in found["rows"]:
        assert row["lost"] > 0, "the link carried the flow when it was cut"
        assert row["gap_ms"] > 1.5, "an interval, and the longer path"
        assert row["reordered_returning"] > 0, "the returning path is shorter by more than an interval"
