"""Processor-time statistics of the kernel: pressure, steal, throttling, run-queue waits of tasks (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from helsewan.emulation.sandbox.namespaces import Namespace

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
_CFS = ("quota", "period")
PRESSURE = PROC / "pressure/cpu"  # pressure-stall information (kernel Documentation/accounting/psi.rst)


@dataclass(frozen=True, slots=True)
class Load:
    """Counters of the whole machine since boot. ``stalled_us``: time in which at least one task waited for a core,
    None where the kernel does not report it. Ticks are summed over all cores. ``throttled_us``: time for which a limit
    of this process's control groups stopped its tasks. ``backlog_drops``: frames of any namespace dropped because a
    core's input queue was full."""

    at_us: int  # CLOCK_MONOTONIC, from ``os.times``
    stalled_us: int | None
    ticks: int
    idle_ticks: int
    steal_ticks: int
    throttled_us: int
    backlog_drops: int


def read_load() -> Load:
    """Read the current counters."""
    ticks = cpu_ticks((PROC / "stat").read_text(encoding="ascii"))
    return Load(
        at_us=round(os.times().elapsed * 1e6),
        stalled_us=_stalled_us(),
        ticks=sum(ticks[:8]),  # ticks of guests are already included in user and nice
        idle_ticks=ticks[3] + ticks[4],
        steal_ticks=ticks[7],
        throttled_us=sum(throttled_us(text) for text in _cgroup_statistics()),
        backlog_drops=backlog_drops((PROC / "net/softnet_stat").read_text(encoding="ascii")),
    )


def cpu_ticks(stat: str) -> list[int]:
    """Clock ticks of all cores: user, nice, system, idle, iowait, irq, softirq, steal ..."""
    return [int(word) for word in stat.split("\n", 1)[0].split()[1:]]


def throttled_us(cpu_stat: str) -> int:
    """Time for which a control group's tasks were throttled, from its ``cpu.stat`` (version 2 in us, 1 in ns)."""
    values = dict(line.split()[:2] for line in cpu_stat.splitlines() if line)
    return int(values.get("throttled_usec", 0)) + int(values.get("throttled_time", 0)) // 1000


def backlog_drops(softnet_stat: str) -> int:
    """Frames dropped because a core's input queue was full: the second column of softnet_stat, in hexadecimal."""
    return sum(int(line.split()[1], 16) for line in softnet_stat.splitlines())


def cgroup_directories(cgroup: str) -> Iterator[Path]:
    """The control groups that may limit a process's processor time, and their ancestors, from its /proc/PID/cgroup."""
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        roots = [CGROUPS / controllers] if controllers else [CGROUPS, CGROUPS / "unified"]
        inner = Path(path.lstrip("/"))
        yield from (root / part for root in roots for part in (inner, *inner.parents))


class TaskClock:
    """Run time and wait time of one thread, from a file that is kept open: one system call per reading."""

    def __init__(self, pid: int, tid: int | None = None) -> None:
        """Open the clock of thread ``tid`` of process ``pid`` (None: its first). Raises OSError if there is none."""
        self._fd = os.open(PROC / f"{pid}/task/{tid or pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def read_ns(self) -> tuple[int, int]:
        """Time on a core, and time runnable but waiting for one (counted when the wait ends). Raises OSError when
        the thread has ended."""
        ran, waited, _ = os.pread(self._fd, 96, 0).split()
        return int(ran), int(waited)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def threads(pid: int, name: str) -> Iterator[int]:
    """The ids of the threads of process ``pid`` whose name begins with ``name``."""
    for task in (PROC / f"{pid}/task").iterdir():
        with suppress(OSError):  # it ended
            if (task / "comm").read_text(encoding="utf-8", errors="replace").startswith(name):
                yield int(task.name)


def thread_clock_ns(pid: int, tid: int | None = None) -> tuple[int, int]:
    """One ``TaskClock`` reading of thread ``tid`` of a process (None: its first)."""
    clock = TaskClock(pid, tid)
    try:
        return clock.read_ns()
    finally:
        clock.close()


def transmit_drops(namespace: Namespace) -> dict[str, int]:
    """Transmit drops of the interfaces of a namespace, by interface. On a TAP: frames that were not read in time."""
    with namespace.entered():
        return parse_transmit_drops((PROC / "thread-self/net/dev").read_text(encoding="ascii"))


def parse_transmit_drops(net_dev: str) -> dict[str, int]:
    """The fourth transmit column (drop) of ``/proc/net/dev``, by interface."""
    rows = (line.partition(":") for line in net_dev.splitlines()[2:])
    return {name.strip(): int(counts.split()[11]) for name, _, counts in rows}


class ThreadClock(NamedTuple):
    """A ``TaskClock`` reading of a thread, and whether it was running or runnable at that time."""

    ran_ns: int = 0
    waited_ns: int = 0
    runnable: bool = True


def thread_clocks(pid: int) -> dict[int, ThreadClock]:
    """The clock of every thread of a process, by thread id. Raises OSError when the process has ended."""
    clocks = {}
    for task in (PROC / f"{pid}/task").iterdir():
        with suppress(OSError):  # the thread has just ended
            state = (task / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][0]
            ran, waited, _ = (task / "schedstat").read_text(encoding="ascii").split()
            clocks[int(task.name)] = ThreadClock(int(ran), int(waited), state == "R")
    return clocks


def cpu_limit_cores() -> float | None:
    """The lowest processor-time limit of this process's control groups, in cores; None when there is none."""
    limits = []
    for directory in cgroup_directories((PROC / "self/cgroup").read_text(encoding="utf-8")):
        with suppress(OSError):
            limits.append(parse_cpu_max((directory / "cpu.max").read_text(encoding="ascii")))
        with suppress(OSError):
            quota, period = ((directory / f"cpu.cfs_{what}_us").read_text(encoding="ascii") for what in _CFS)
            limits.append(parse_cpu_max(f"{quota} {period}"))
    return min((limit for limit in limits if limit is not None), default=None)


def parse_cpu_max(text: str) -> float | None:
    """A quota and its period as a number of cores; None (no limit) for ``max`` or a negative quota."""
    quota, period = text.split()
    return None if quota == "max" or int(quota) < 0 else int(quota) / int(period)


def _stalled_us() -> int | None:
    try:
        some = PRESSURE.read_text(encoding="ascii").splitlines()[0]
    except OSError:  # no pressure-stall information in this kernel
        return None
    return int(some.rpartition("total=")[2])


def _cgroup_statistics() -> Iterator[str]:
    for directory in cgroup_directories((PROC / "self/cgroup").read_text(encoding="utf-8")):
        try:
            yield (directory / "cpu.stat").read_text(encoding="ascii")
        except OSError:  # another cgroup version, or not visible from here
            continue
