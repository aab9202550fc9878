"""Leader election by a lease file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import wait_for

from helsewan.controller.control import lease as module
from helsewan.controller.control.lease import Lease

REPOSITORY = Path(__file__).parents[3]
LEAD = """
import sys, time
from pathlib import Path
from helsewan.controller.control.lease import Lease
lease = Lease(Path(sys.argv[1]))
print(lease.take() and lease.generation, flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the lease file."""
    return tmp_path / "lease"


def another(path: Path) -> subprocess.Popen[str]:
    """A process that has led."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEAD, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and int(process.stdout.readline()) > 0
    return process


def test_one_leads_at_a_time(path: Path) -> None:
    with another(path) as other:
        assert not Lease(path).take() and not Lease(path).renew()
        other.kill()


def test_a_zombie_leads_no_more(path: Path) -> None:
    with another(path) as other:
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        lease = Lease(path)
        assert lease.take() and lease.renew()


def test_a_hung_leader_loses_the_lease_and_learns_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, lease = Lease(path), Lease(path)
    assert hanging.take() and not lease.take()
    monkeypatch.setattr(module, "STALE_S", 0.0)
    assert lease.take() and lease.generation > hanging.generation
    monkeypatch.undo()
    done: list[str] = []
    assert not hanging.renew(lambda: done.append("as leader")) and not done
    assert lease.renew(lambda: done.append("as leader")) and done
    hanging.resign()
    assert lease.renew()


def test_a_leader_that_resigned_may_lead_again(path: Path) -> None:
    first, second = Lease(path), Lease(path)
    assert first.take()
    first.resign()
    assert second.take() and not first.renew()
    second.resign()
    assert first.take() and first.generation > second.generation


def test_a_stopped_leader_is_given_time(path: Path) -> None:
    with another(path) as other:
        other.send_signal(signal.SIGSTOP)
        wait_for(lambda: Path(f"/proc/{other.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "the stop")
        assert not Lease(path).take()
        other.kill()


def test_no_generation_comes_twice(path: Path) -> None:
    generations = []
    for _ in range(100):
        lease = Lease(path)
        assert lease.take()
        generations.append(lease.generation)
        lease.resign()
    assert generations == sorted(set(generations)) and generations[-1] <= time.monotonic_ns()
