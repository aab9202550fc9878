"""Monitors the machine during a run, in a thread of its own, and records a summary every second.

The monitored processes do no work for it: the link engine's counters are in shared memory, all other figures come from
/proc. With 39 routers it uses some 2 % of a core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import numpy as np

from helsewan.common.run_clock import RunClock
from helsewan.emulation.links.counters import Latest, Records, bin_limits_ns
from helsewan.emulation.routers.packet_sockets import FrameQueue
from helsewan.emulation.routers.switches import Thread
from helsewan.emulation.sandbox.procfs import TaskClock, ThreadClock, read_load, thread_clocks
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.flows.records import Array
from helsewan.lab.health.health import (
    Pressure,
    SchedulingDelay,
    Second,
    StallDetector,
    lateness_summary,
    pressure_between,
    process_scheduling_delay,
)

SAMPLE_S = 0.05
SAMPLE_S_PER_THREAD = 0.001  # with more than 50 threads the interval grows by this for each
SECOND_NS = 1_000_000_000
LATE_LINKS_NAMED = 5  # per second


class ObservedThread:
    """A monitored thread; ``queue``: where frames wait for it."""

    def __init__(self, thread: Thread, queue: FrameQueue | None = None) -> None:
        """Raises OSError when there is no such thread."""
        self.thread, self._queue = thread, queue
        self._clock = TaskClock(*thread)
        self._detector = StallDetector(*self._clock.read_ns())
        self._drops = self._queue_drops()

    def sample(self, elapsed_us: float) -> None:
        """Sample its clocks, ``elapsed_us`` after the previous sample. Raises OSError when it has ended."""
        if self._detector.sample(*self._clock.read_ns(), elapsed_us) and self._queue:
            now = self._queue.backlog()
            self._detector.frames(bool(now and now.waiting), elapsed_us)

    def take(self) -> tuple[SchedulingDelay, int]:
        """Its scheduling delay since the previous ``take``, and how many frames its queue dropped. Raises
        OSError."""
        before, self._drops = self._drops, self._queue_drops()
        return self._detector.take(), max(0, self._drops - before)

    def _queue_drops(self) -> int:
        found = self._queue.backlog() if self._queue else None
        return found.drops if found else 0

    def close(self) -> None:
        """Close its clock; the queue stays open."""
        self._clock.close()


class LinkCounters(NamedTuple):
    """Live views of the link engine's counters: of the engine, its pipes and their classes."""

    engine: Records
    pipes: Records
    classes: Records


class Monitored(Protocol):
    """What the monitor reads of the monitored network; no method may block."""

    def threads(self) -> Mapping[str, Thread]:
        """Threads whose lateness_summary is the emulation's, by name, as they are now."""

    def queue(self, thread: str) -> FrameQueue | None:
        """Where frames wait for a thread, None if none do."""

    def processes(self) -> Mapping[str, int]:
        """Process ids of the processes observed as a whole, by name."""

    def pipe_names(self) -> Mapping[int, str]:
        """Names of the engine's pipes, by number."""

    def counters(self) -> LinkCounters | None:
        """The link engine's counters; None where there is no engine."""

    def machine_drops(self) -> Mapping[str, int]:
        """Frames dropped by the machine, not by a link's model, since the network was built, by location."""


class HealthMonitor:
    """Monitors ``monitored`` from ``start`` to ``stop``. ``sends``: live view of the traffic's lateness histogram,
    whose bins end at ``send_limits_ns``; ``on_second`` is called with every second as it ends, in the monitor's
    thread. Without ``keep`` the seconds are kept by nobody else."""

    def __init__(
        self,
        monitored: Monitored,
        sends: Array,
        send_limits_ns: Array,
        on_second: Callable[[Second], None],
        keep: bool = True,
    ) -> None:
        self._keep = keep
        self._monitored, self._sends, self._send_limits_ns, self._on_second = (
            monitored,
            sends,
            send_limits_ns,
            on_second,
        )
        self._threads: dict[str, ObservedThread] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-monitor", daemon=True)
        self._seconds: list[Second] = []
        self.error: Exception | None = None  # that ended the thread

    def start(self, epoch_ns: int) -> None:
        """Start the thread; second 0 begins at ``epoch_ns`` (CLOCK_REALTIME)."""
        self._epoch_ns, self._clock = epoch_ns, RunClock()
        self._pipe_names = self._monitored.pipe_names()
        self._first = self._load = read_load()
        self._counts = _Counts(self._monitored, self._sends)
        self._thread.start()

    def stop(self) -> tuple[tuple[Second, ...], Pressure]:
        """Stop the thread. Returns all seconds, of which the last may be incomplete, and the processor use over all of
        them. Raises the error that ended the thread before, if any."""
        self._stopping.set()
        self._thread.join()
        if self.error:
            raise self.error
        return tuple(self._seconds), pressure_between(self._first, self._load)

    def _run(self) -> None:
        set_realtime(LINKS)  # at normal priority it would be delayed together with what it monitors
        try:
            self._update_threads()
            number = self._number()
            last_ns = time.monotonic_ns()
            while not self._stopping.wait(max(SAMPLE_S, len(self._threads) * SAMPLE_S_PER_THREAD)):
                now_ns = time.monotonic_ns()
                self._sample((now_ns - last_ns) / 1000)
                last_ns = now_ns
                if self._number() != number:
                    self._close_second(number)
                    number = self._number()
            self._close_second(number)
        except Exception as error:  # raised by ``stop``
            self.error = error
        finally:
            for observed in self._threads.values():
                observed.close()

    def _number(self) -> int:
        return (self._clock.now_ns() - self._epoch_ns) // SECOND_NS

    def _update_threads(self) -> None:
        """Observe the threads that exist now: a restored router runs in a new process."""
        present = self._monitored.threads()
        for name in [name for name, observed in self._threads.items() if present.get(name) != observed.thread]:
            self._threads.pop(name).close()
        for name, thread in present.items():
            if name not in self._threads:
                try:
                    self._threads[name] = ObservedThread(thread, self._monitored.queue(name))
                except OSError:  # it has just ended, which the process monitor reports
                    continue

    def _sample(self, elapsed_us: float) -> None:
        for name, observed in list(self._threads.items()):
            try:
                observed.sample(elapsed_us)
            except OSError:  # it has ended
                self._threads.pop(name).close()

    def _close_second(self, number: int) -> None:
        before, counts = self._counts, _Counts(self._monitored, self._sends)
        load_before, load = self._load, read_load()
        self._counts, self._load = counts, load
        delays, drops = self._take_delays()
        for location, now in counts.drops.items():
            if (lost := now - before.drops.get(location, 0)) > 0:
                drops[location] = lost
        second = Second(
            number=number,
            pressure=pressure_between(load_before, load),
            links=None if counts.links is None else lateness_summary(counts.links - before.links),
            sends=lateness_summary(counts.sends - before.sends, self._send_limits_ns),
            late_links=counts.late_links(before, self._pipe_names),
            unread_us=counts.unread_since(before),
            throttled_us=load.throttled_us - load_before.throttled_us,
            backlog_drops=load.backlog_drops - load_before.backlog_drops,
            drops=drops,
            threads=delays,
            processes=counts.process_delays_since(before, load.at_us - load_before.at_us),
        )
        if self._keep:
            self._seconds.append(second)
        self._on_second(second)
        self._update_threads()

    def _take_delays(self) -> tuple[dict[str, SchedulingDelay], dict[str, int]]:
        delays, drops = {}, {}
        for name, observed in self._threads.items():
            delays[name], lost = observed.take()
            if lost:
                drops[f"{name}'s packet sockets"] = lost
        return delays, drops


class _Counts:
    """Copies of counters that only grow, taken at one time."""

    def __init__(self, monitored: Monitored, sends: Array) -> None:
        self.links: Array | None = None
        self._unread_us = 0.0
        self._long_rounds: Array = np.zeros(1, np.int64)
        self._latest: Latest | None = None
        if counters := monitored.counters():
            self.links = counters.engine["lateness"][0].astype(np.int64)
            self._unread_us = int(counters.engine["longest_round_ns"][0]) / 1000
            self._long_rounds = counters.engine["long_rounds"][0].astype(np.int64)
            self._latest = Latest.of(counters.pipes, counters.classes)
        self.sends: Array = sends.astype(np.int64)
        self.drops = monitored.machine_drops()
        self._processes: dict[str, Mapping[int, ThreadClock]] = {}
        for name, pid in monitored.processes().items():
            with suppress(OSError):  # it has ended, which the process monitor reports
                self._processes[name] = thread_clocks(pid)

    def unread_since(self, before: _Counts) -> float:
        """The longest time in which the link engine did not check for arriving frames since ``before``, us: exact where
        it is the longest so far, else the lower limit of its bin, at most a fifth below, and 0 below 1 ms."""
        if self._unread_us > before._unread_us:
            return self._unread_us
        grown = np.flatnonzero(self._long_rounds - before._long_rounds)
        return float(bin_limits_ns()[grown[-1] - 1]) / 1000 if len(grown) else 0.0

    def late_links(self, before: _Counts, names: Mapping[int, str]) -> dict[str, float]:
        """The pipes with the latest deliveries since ``before``, and how late those were (us)."""
        if self._latest is None or before._latest is None:
            return {}
        late_ns = self._latest.since(before._latest)
        latest = np.argsort(late_ns)[::-1][:LATE_LINKS_NAMED]
        return {names[int(pipe)]: float(late_ns[pipe]) / 1000 for pipe in latest if late_ns[pipe]}

    def process_delays_since(self, before: _Counts, elapsed_us: int) -> dict[str, SchedulingDelay]:
        """Scheduling delay of the processes since ``before``, ``elapsed_us`` ago."""
        return {
            name: process_scheduling_delay(before._processes.get(name, {}), clocks, elapsed_us)
            for name, clocks in self._processes.items()
        }
