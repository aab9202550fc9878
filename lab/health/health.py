"""Per-second records of the machine's health during a run, computed from counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from helsewan.emulation.links.counters import bin_limits_ns
from helsewan.emulation.sandbox.procfs import Load, ThreadClock
from helsewan.lab.flows.records import Array

WORTH_TELLING_US = 10_000  # threads that never waited for longer at a time stay out of the history


@dataclass(frozen=True, slots=True)
class Pressure:
    """Processor use over a time: ``stalled`` is the share of it in which some task waited for a core
    (None where the kernel does not tell), ``busy`` the share of all cores in use, ``steal`` the share taken
    by other machines on the same host."""

    stalled: float | None
    busy: float
    steal: float


@dataclass(frozen=True, slots=True)
class SchedulingDelay:
    """How one part of the emulation fared within a second. ``waited_us``: a thread of it, runnable without a core;
    ``longest_wait_us``: the most of it between two looks; ``stalled_us``: at least so long frames waited for it and
    it did not run; ``busy``: the share of the second it ran (of all its threads together)."""

    waited_us: float
    longest_wait_us: float = 0.0
    stalled_us: float = 0.0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Punctuality:
    """Lateness within a second: ``count`` of them, 99 % within ``p99_us``, all within ``max_us``."""

    count: int = 0
    p99_us: float = 0.0
    max_us: float = 0.0


@dataclass(frozen=True)
class Second:
    """One second of a run: ``number`` from the traffic's start on.

    ``late_lines``: the lines with its latest deliveries, and how late those were.
    ``unread_us``: the longest the link engine did not look for frames, if that was longer than ever before.
    ``drops``: frames that the machine lost and not the model, by place. ``threads``: those whose punctuality is the
    emulation's, by name; ``processes``: those that matter as a whole."""

    number: int
    pressure: Pressure
    links: Punctuality | None = None
    sends: Punctuality = Punctuality()
    late_lines: Mapping[str, float] = field(default_factory=dict)
    unread_us: float = 0.0
    throttled_us: int = 0
    backlog_drops: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    threads: Mapping[str, SchedulingDelay] = field(default_factory=dict)
    processes: Mapping[str, SchedulingDelay] = field(default_factory=dict)

    def compact(self) -> dict[str, Any]:
        """The second as a history keeps it: threads that hardly waited, and what is 0, left out."""
        told = {
            name: [round(strain.waited_us), round(strain.longest_wait_us), round(strain.stalled_us)]
            for name, strain in self.threads.items()
            if strain.longest_wait_us >= WORTH_TELLING_US or strain.stalled_us
        }
        facts: dict[str, Any] = {
            "links_late_us": self.links and [round(self.links.p99_us), round(self.links.max_us)],
            "sends_late_us": [round(self.sends.p99_us), round(self.sends.max_us)],
            "busy": round(self.pressure.busy, 3),
            "steal": round(self.pressure.steal, 3),
            "stalled": self.pressure.stalled and round(self.pressure.stalled, 3),
            "late_lines": {name: round(us) for name, us in self.late_lines.items()},
            "unread_us": round(self.unread_us),
            "throttled_us": self.throttled_us,
            "backlog_drops": self.backlog_drops,
            "drops": dict(self.drops),
            "waited_longest_stalled_us": told,
            "processes_waited_us": {name: round(strain.waited_us) for name, strain in self.processes.items()},
        }
        return {"second": self.number, **{name: value for name, value in facts.items() if value}}


def pressure_between(before: Load, after: Load) -> Pressure:
    """Processor use from one reading to the next."""
    ticks = max(1, after.ticks - before.ticks)
    stalled = None
    if before.stalled_us is not None and after.stalled_us is not None:
        stalled = (after.stalled_us - before.stalled_us) / max(1, after.at_us - before.at_us)
    return Pressure(
        stalled=stalled,
        busy=1 - (after.idle_ticks - before.idle_ticks) / ticks,
        steal=(after.steal_ticks - before.steal_ticks) / ticks,
    )


def punctuality(histogram: Array, limits_ns: Array | None = None) -> Punctuality:
    """Of the counts of a lateness histogram, by the upper limits of its bins (the link engine's if not given)."""
    limits_ns = bin_limits_ns() if limits_ns is None else limits_ns
    total = np.cumsum(histogram)
    if not total[-1]:
        return Punctuality()
    p99 = int(np.searchsorted(total, 0.99 * int(total[-1])))
    top = int(np.flatnonzero(histogram)[-1])
    return Punctuality(int(total[-1]), float(limits_ns[p99]) / 1000, float(limits_ns[top]) / 1000)


def process_scheduling_delay(
    before: Mapping[int, ThreadClock], after: Mapping[int, ThreadClock], elapsed_us: float
) -> SchedulingDelay:
    """How a process fared by its threads' clocks: the longest wait of one, the work of all. A thread that is new
    began at zero; one that ended takes its clock along."""
    ran_ns = longest_ns = 0
    for thread, now in after.items():
        then = before.get(thread, ThreadClock())
        ran_ns += now.ran_ns - then.ran_ns
        waited_ns = now.waited_ns - then.waited_ns
        # Linux 6.12 and later take some sleeps for waits (delayed dequeue; seen as timeouts of exactly 5 s): who waited
        # for longer than since the last look must have been waiting at it.
        if then.runnable or waited_ns <= elapsed_us * 1000:
            longest_ns = max(longest_ns, waited_ns)
    return SchedulingDelay(longest_ns / 1000, busy=ran_ns / 1000 / max(1.0, elapsed_us))


class StallDetector:
    """Follows one part from sample to sample, and accumulates its scheduling delay until it is read."""

    def __init__(self, ran_ns: int, waited_ns: int) -> None:
        self._ran_ns, self._waited_ns = ran_ns, waited_ns
        self._held_us = 0.0  # how long frames have been waiting for it while it did not run
        self._held = False
        self._elapsed_us = self._busy_us = self._waited_us = self._longest_us = self._stalled_us = 0.0

    def beat(self, ran_ns: int, waited_ns: int, elapsed_us: float) -> bool:
        """A look, ``elapsed_us`` after the last: the part's clocks. True when it did not run since: whether frames
        wait for it is then worth knowing (``frames``)."""
        wait_us = (waited_ns - self._waited_ns) / 1000
        rested = ran_ns == self._ran_ns
        self._elapsed_us += elapsed_us
        self._busy_us += (ran_ns - self._ran_ns) / 1000
        self._waited_us += wait_us
        self._longest_us = max(self._longest_us, wait_us)
        self._ran_ns, self._waited_ns = ran_ns, waited_ns
        if not rested:
            self._held, self._held_us = False, 0.0
        return rested

    def frames(self, waiting: bool, elapsed_us: float) -> None:
        """Whether frames wait for a part that did not run since the last look. Only between two looks that found
        some they surely waited: the first may have come the moment before."""
        if waiting and self._held:
            self._held_us += elapsed_us
            self._stalled_us = max(self._stalled_us, self._held_us)
        elif not waiting:
            self._held_us = 0.0
        self._held = waiting

    def take(self) -> SchedulingDelay:
        """The strain since the last ``take``."""
        busy = self._busy_us / max(1.0, self._elapsed_us)
        strain = SchedulingDelay(self._waited_us, self._longest_us, self._stalled_us, busy)
        self._elapsed_us = self._busy_us = self._waited_us = self._longest_us = self._stalled_us = 0.0
        return strain
