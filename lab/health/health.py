"""Per-second records of the machine's health during a run, computed from counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from helsewan.emulation.links.counters import bin_limits_ns
from helsewan.emulation.sandbox.procfs import Load, ThreadClock
from helsewan.lab.flows.records import Array

CONTROLLER = "controller"  # the observed process
ROUTERS = "routers"  # the observed thread that forwards for all shared routers
REPORTED_WAIT_US = 10_000  # threads with no longer single wait are left out of the history


@dataclass(frozen=True, slots=True)
class Pressure:
    """Processor use over an interval: ``stalled`` is the share of the interval in which some task waited for a core
    (None where the kernel does not report it), ``busy`` the share of all cores in use, ``steal`` the share taken by
    other virtual machines on the same host."""

    stalled: float | None
    busy: float
    steal: float


@dataclass(frozen=True, slots=True)
class SchedulingDelay:
    """Scheduling delay of a thread or process within a second.

    ``waited_us``: time runnable without a core (of a process: its thread with the longest wait). ``longest_wait_us``:
    the longest such time between two samples. ``stalled_us``: lower bound of the time in which frames waited for it and
    it did not run. ``busy``: share of the second it ran (of a process: the sum over its threads)."""

    waited_us: float
    longest_wait_us: float = 0.0
    stalled_us: float = 0.0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class LatenessSummary:
    """Lateness of ``count`` events within a second: 99 % are at most ``p99_us`` late, all at most ``max_us``."""

    count: int = 0
    p99_us: float = 0.0
    max_us: float = 0.0


@dataclass(frozen=True)
class Second:
    """One second of a run: ``number`` counts from the traffic's start.

    ``links``: lateness of deliveries at the ends of links (None without a link engine); ``sends``: of the traffic's
    sends. ``late_links``: the directions of links with the latest deliveries, and how late those were (us).
    ``unread_us``: longest time in which the link engine did not check for arriving frames (0: below 1 ms). ``drops``:
    frames dropped by the machine, not by a link's model, by location. ``threads``: the threads on which the emulation's
    timing depends, by name; ``processes``: processes observed as a whole, by name."""

    number: int
    pressure: Pressure
    links: LatenessSummary | None = None
    sends: LatenessSummary = LatenessSummary()
    late_links: Mapping[str, float] = field(default_factory=dict)
    unread_us: float = 0.0
    throttled_us: int = 0
    backlog_drops: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    threads: Mapping[str, SchedulingDelay] = field(default_factory=dict)
    processes: Mapping[str, SchedulingDelay] = field(default_factory=dict)

    def compact(self) -> dict[str, Any]:
        """The second as it is written to the history, without threads that hardly waited and without zeros."""
        delayed = {
            name: [round(delay.waited_us), round(delay.longest_wait_us), round(delay.stalled_us)]
            for name, delay in self.threads.items()
            if delay.longest_wait_us >= REPORTED_WAIT_US or delay.stalled_us
        }
        facts: dict[str, Any] = {
            "links_late_us": self.links and [round(self.links.p99_us), round(self.links.max_us)],
            "sends_late_us": [round(self.sends.p99_us), round(self.sends.max_us)],
            "busy": round(self.pressure.busy, 3),
            "steal": round(self.pressure.steal, 3),
            "stalled": self.pressure.stalled and round(self.pressure.stalled, 3),
            "late_lines": {name: round(us) for name, us in self.late_links.items()},
            "unread_us": round(self.unread_us),
            "throttled_us": self.throttled_us,
            "backlog_drops": self.backlog_drops,
            "drops": dict(self.drops),
            "waited_longest_stalled_us": delayed,
            "processes_waited_us": {name: round(delay.waited_us) for name, delay in self.processes.items()},
        }
        return {"second": self.number, **{name: value for name, value in facts.items() if value}}


def pressure_between(before: Load, after: Load) -> Pressure:
    """Processor use between two readings."""
    ticks = max(1, after.ticks - before.ticks)
    stalled = None
    if before.stalled_us is not None and after.stalled_us is not None:
        stalled = (after.stalled_us - before.stalled_us) / max(1, after.at_us - before.at_us)
    return Pressure(
        stalled=stalled,
        busy=1 - (after.idle_ticks - before.idle_ticks) / ticks,
        steal=(after.steal_ticks - before.steal_ticks) / ticks,
    )


def lateness_summary(histogram: Array, limits_ns: Array | None = None) -> LatenessSummary:
    """The summary of a lateness histogram; ``limits_ns`` are the upper limits of its bins (default: those of the link
    engine's histogram)."""
    limits_ns = bin_limits_ns() if limits_ns is None else limits_ns
    total = np.cumsum(histogram)
    if not total[-1]:
        return LatenessSummary()
    p99 = int(np.searchsorted(total, 0.99 * int(total[-1])))
    top = int(np.flatnonzero(histogram)[-1])
    return LatenessSummary(int(total[-1]), float(limits_ns[p99]) / 1000, float(limits_ns[top]) / 1000)


def process_scheduling_delay(
    before: Mapping[int, ThreadClock], after: Mapping[int, ThreadClock], elapsed_us: float
) -> SchedulingDelay:
    """Scheduling delay of a process between two readings of its threads' clocks: the longest wait of any thread, and
    the run time of all. The clocks of a new thread start at zero; a thread that ended is not counted."""
    ran_ns = longest_ns = 0
    for thread, now in after.items():
        then = before.get(thread, ThreadClock())
        ran_ns += now.ran_ns - then.ran_ns
        waited_ns = now.waited_ns - then.waited_ns
        # Linux 6.12 and later count some sleeps as waits (delayed dequeue; seen as timeouts of exactly 5 s). A wait
        # longer than the interval is only possible for a thread that was runnable at the previous reading.
        if then.runnable or waited_ns <= elapsed_us * 1000:
            longest_ns = max(longest_ns, waited_ns)
    return SchedulingDelay(longest_ns / 1000, busy=ran_ns / 1000 / max(1.0, elapsed_us))


class StallDetector:
    """Accumulates the scheduling delay of one thread from sample to sample, until it is read by ``take``."""

    def __init__(self, ran_ns: int, waited_ns: int) -> None:
        self._ran_ns, self._waited_ns = ran_ns, waited_ns
        self._frames_waited_us = 0.0  # how long frames have been waiting for it while it did not run
        self._frames_waited = False  # at the previous sample
        self._elapsed_us = self._busy_us = self._waited_us = self._longest_us = self._stalled_us = 0.0

    def sample(self, ran_ns: int, waited_ns: int, elapsed_us: float) -> bool:
        """Add a sample of the thread's clocks, ``elapsed_us`` after the previous one. Returns whether the thread did
        not run in between; the caller then checks whether frames wait for it and calls ``frames``."""
        wait_us = (waited_ns - self._waited_ns) / 1000
        idle = ran_ns == self._ran_ns
        self._elapsed_us += elapsed_us
        self._busy_us += (ran_ns - self._ran_ns) / 1000
        self._waited_us += wait_us
        self._longest_us = max(self._longest_us, wait_us)
        self._ran_ns, self._waited_ns = ran_ns, waited_ns
        if not idle:
            self._frames_waited, self._frames_waited_us = False, 0.0
        return idle

    def frames(self, waiting: bool, elapsed_us: float) -> None:
        """Add whether frames wait for a thread that did not run since the previous sample. The interval counts as a
        stall only if frames waited at both of its ends: at the first, they may have arrived just before."""
        if waiting and self._frames_waited:
            self._frames_waited_us += elapsed_us
            self._stalled_us = max(self._stalled_us, self._frames_waited_us)
        elif not waiting:
            self._frames_waited_us = 0.0
        self._frames_waited = waiting

    def take(self) -> SchedulingDelay:
        """The scheduling delay since the previous ``take``."""
        busy = self._busy_us / max(1.0, self._elapsed_us)
        delay = SchedulingDelay(self._waited_us, self._longest_us, self._stalled_us, busy)
        self._elapsed_us = self._busy_us = self._waited_us = self._longest_us = self._stalled_us = 0.0
        return delay
