"""Runs on a machine that has too little of something: each ends with a reason, and leaves nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from short_run import events, outside, processes, result_of, start, wait_until_gone
from waiting import wait_for

DEADLINE_S = 120.0
ON_A_DISK_OF = 'mkdir -p results && mount -t tmpfs -o "size=$0" none results && exec "$@"'
MEMORY_GROUPS = {"/sys/fs/cgroup": "memory.max", "/sys/fs/cgroup/memory": "memory.limit_in_bytes"}  # versions 2 and 1
MEMORY_BYTES = 120 * 1024 * 1024  # some processes of a run fit in it, all of them do not


def end(directory: Path, under: Sequence[str] = ()) -> tuple[int, str]:
    """Let a run end by itself: exit code and output, after what every end must keep."""
    before = outside()
    run = start(directory, under)
    said, _ = run.communicate(timeout=DEADLINE_S)
    wait_until_gone(directory)
    assert outside() == before
    assert "Traceback" not in said, said
    return run.returncode, said


def test_a_disk_without_room_for_results(tmp_path: Path) -> None:
    """Not even the run's directory can be made: bad input, before anything is started."""
    code, said = end(tmp_path, ["unshare", "--mount", "sh", "-c", ON_A_DISK_OF, "4k,nr_inodes=3"])
    assert code == 2 and "No space left on device" in said, said
    assert len(said.strip().splitlines()) == 1


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """The daemons' logs take all there is while the network starts: void, with the reason."""
    code, said = end(tmp_path, ["unshare", "--mount", "sh", "-c", ON_A_DISK_OF, "64k"])
    assert code in (2, 3) and "No space left on device" in said, said


@pytest.mark.parametrize("files", [60, 300])
def test_too_few_files_may_be_open(files: int, tmp_path: Path) -> None:
    """A hard limit that no start can live with ends it, early or amid the building, and says what ran out."""
    code, said = end(tmp_path, ["prlimit", f"--nofile={files}:{files}"])
    assert code in (2, 3) and ("open files" in said or "file descriptors" in said), said


@pytest.fixture
def little_memory(tmp_path: Path) -> Iterator[list[str]]:
    """Words that put a command under a memory limit: a control group's, else one for each process."""
    for root, limit in MEMORY_GROUPS.items():
        group = Path(root, f"helsewan-test-{os.getpid()}")
        if not Path(root, "cgroup.procs").exists() or not os.access(root, os.W_OK):
            continue
        group.mkdir()
        try:
            if (group / limit).exists():  # else the memory controller is not handed down to here
                (group / limit).write_text(str(MEMORY_BYTES))
                yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group)]
                return
        finally:  # who was killed for want of memory may still be on the way out
            wait_for(partial(empty, group), "the control group to empty")
            group.rmdir()
    yield ["prlimit", f"--as={MEMORY_BYTES}"]


def empty(group: Path) -> bool:
    """Whether no process is left in a control group."""
    return not (group / "cgroup.procs").read_text()


def test_too_little_memory(little_memory: list[str], tmp_path: Path) -> None:
    """Whoever the kernel ends for want of memory, the run ends too."""
    code, said = end(tmp_path, little_memory)
    assert code in (1, 3, -signal.SIGKILL), said  # the kernel may choose the command itself, which then says nothing
    assert said.strip() or code == -signal.SIGKILL


@pytest.mark.parametrize("daemon", ["ovs-vswitchd", "ovsdb-server"])
def test_a_router_that_crashes(daemon: str, tmp_path: Path) -> None:
    """A switch's daemon that crashes amid the traffic: void, naming the router, its daemon and the signal."""
    run = start(tmp_path)
    history_has(tmp_path, "traffic-started")
    pid = min(pid for pid, kind in processes(tmp_path).items() if kind == daemon)
    os.kill(pid, signal.SIGSEGV)
    said, _ = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 3, said
    assert daemon in str(result_of(tmp_path)["void"])
    wait_until_gone(tmp_path)


def history_has(directory: Path, event: str) -> None:
    """Wait until the run's history tells of ``event``."""
    wait_for(lambda: event in events(directory), event)
