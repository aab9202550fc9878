"""Worlds in parallel: two pytest-xdist workers measure what one alone does, within noise, and never see each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.alone, pytest.mark.exhaustive]

NOISE_US = 2000  # eight hops or so, each of which may have to wait for a core that the other world uses
CASE = Path(__file__).with_name("side_by_side.py")


def measure(meet: Path, worlds: int) -> list[dict[str, Any]]:
    """What so many worlds measured side by side."""
    meet.mkdir()
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(worlds), str(CASE)]
    env = {**os.environ, "HELSEWAN_MEET": str(meet), "HELSEWAN_WORLDS": str(worlds)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(file.read_text()) for file in sorted(meet.glob("figures-*"))]


def test_two_workers_measure_what_one_does(tmp_path: Path) -> None:
    """Same datagrams heard, same delay, same interfaces: the other world is not there."""
    (alone,) = measure(tmp_path / "one", 1)
    assert alone["received"] == alone["sent"]
    for figures in measure(tmp_path / "two", 2):
        assert figures["received"] == figures["sent"] == alone["sent"]
        assert figures["interfaces"] == alone["interfaces"]
        assert abs(figures["delay_p50_us"] - alone["delay_p50_us"]) < NOISE_US, (figures, alone)
