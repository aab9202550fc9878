"""Applications between two sites of a real network, over IPv4 and IPv6; the SIP client sipp calls and is called."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from short_run import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "helpers" / "applications_live.py"
DEADLINE_S = 240.0
RING_US, TALK_US = 100_000, 200_000  # of the script's calls


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def test_every_kind_of_exchange_completes_over_both_ip_versions(outcome: dict[str, Any]) -> None:
    assert len(outcome["exchanges"]) == 16
    assert {name: done for name, done in outcome["exchanges"].items() if done != [[True, ""]] * 3} == {}


def test_sipp_completes_calls(outcome: dict[str, Any]) -> None:
    """sipp ends with 0 when all its calls succeeded."""
    assert outcome["sipp calls"] == {"4": 0, "6": 0}


@pytest.mark.parametrize("version", ["IPv4", "IPv6"])
def test_sipp_answers_calls(outcome: dict[str, Any], version: str) -> None:
    found = outcome["answered by sipp"][version]
    assert found["sipp"] == 0
    assert [error for error, _, _ in found["calls"]] == [""] * 5
    assert all(answered_us > 10_000 for _, answered_us, _ in found["calls"])  # there and back over 5 ms of line
    assert all(talk_us >= TALK_US for _, _, talk_us in found["calls"])
