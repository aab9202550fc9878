"""kill -9 of any process of a run at any moment: nothing is left, and the run says what died.

``HELSEWAN_KILLS`` says how many moments are drawn (``make test-kills``: 50).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from short_run import events, outside, processes, result_of, start, wait_until_gone

pytestmark = pytest.mark.exhaustive

KILLS = int(os.environ.get("HELSEWAN_KILLS", "6"))
DEADLINE_S = 60.0
NOBODY_SPEAKS = ("outer",)  # whose death leaves nobody to write a result
SPOKEN_FOR = {"world": "killed", "launcher": "killed"}  # how the outer half names what it cannot see into


@pytest.fixture(scope="module")
def length_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an undisturbed run takes here."""
    began = time.monotonic()
    run = start(tmp_path_factory.mktemp("whole"))
    said, _ = run.communicate(timeout=120)
    assert run.returncode in (0, 3) and "heard" in said, said
    return time.monotonic() - began


@pytest.mark.parametrize("attempt", range(KILLS))
def test_killed_at_any_moment_nothing_is_left(attempt: int, length_s: float, tmp_path: Path, seed: int) -> None:
    """One process, of a kind drawn among those there are, at a moment drawn from start to stop."""
    draw, before = random.Random(f"{seed} {attempt}"), outside()
    run = start(tmp_path)
    try:
        run.wait(draw.uniform(0.2, length_s))
    except subprocess.TimeoutExpired:
        kind, ended = kill_one(tmp_path, draw), events(tmp_path)
    else:
        kind, ended = "nobody", events(tmp_path)
    said, _ = run.communicate(timeout=DEADLINE_S)
    print(f"killed: {kind} after {ended[-1] if ended else 'no event'}; exit code {run.returncode}")
    wait_until_gone(tmp_path)
    assert outside() == before
    assert "Traceback" not in said, said
    if kind in NOBODY_SPEAKS:
        assert run.returncode == -signal.SIGKILL
    elif kind != "nobody" and not ended and run.returncode == 2:
        assert "permission" in said, said  # what was killed had only tried whether there can be a world
    elif kind != "nobody" and "traffic-ended" not in ended:
        assert run.returncode == 3, said
        result = result_of(tmp_path)
        assert result["verdict"] == "void"
        assert SPOKEN_FOR.get(kind, kind) in str(result["void"]), said


def kill_one(directory: Path, draw: random.Random) -> str:
    """Kill a process of the run; what it was. A command that ended by itself meanwhile is ``nobody``."""
    there = processes(directory)
    kind = draw.choice(sorted(set(there.values())))
    victim = draw.choice(sorted(pid for pid, other in there.items() if other == kind))
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    return kind
