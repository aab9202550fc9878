"""Monitors the machine during a run, in a thread of its own, and records a summary every second.

Nothing is asked of what is watched: the engine's counters are in shared memory, all else is in /proc. With 39 routers
that takes some 2 % of a core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from helsewan.emulation.links.counters import Latest, Records
from helsewan.emulation.routers.packet_sockets import PacketSockets
from helsewan.emulation.sandbox.procfs import TaskClock, read_load, thread_clocks
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.flows.records import Array
from helsewan.lab.health.health import (
    Pressure,
    SchedulingDelay,
    Second,
    StallDetector,
    pressure_between,
    process_scheduling_delay,
    punctuality,
)

LOOK_S = 0.05
LOOKS_PER_PART_S = 0.001  # larger networks are looked at more rarely: a thousandth of a second for each part
SECOND_NS = 1_000_000_000
LINES_NAMED = 5  # in a second


class Thread(NamedTuple):
    """A thread of a process."""

    pid: int
    tid: int


class ObservedPart:
    """A monitored thread; ``door``: the packet sockets through which frames reach it."""

    def __init__(self, thread: Thread, door: PacketSockets | None = None) -> None:
        """Raises OSError when there is no such thread."""
        self.thread, self._door = thread, door
        self._clock = TaskClock(*thread)
        self._pulse = StallDetector(*self._clock.read_ns())
        self._drops = self._door_drops()

    def look(self, elapsed_us: float) -> None:
        """See how it fared since the last look. Raises OSError when it has ended."""
        if self._pulse.beat(*self._clock.read_ns(), elapsed_us) and self._door:
            now = self._door.look()
            self._pulse.frames(bool(now and now.waiting_bytes), elapsed_us)

    def take(self) -> tuple[SchedulingDelay, int]:
        """Its strain since the last ``take``, and how many frames found its door shut. Raises OSError."""
        before, self._drops = self._drops, self._door_drops()
        return self._pulse.take(), max(0, self._drops - before)

    def _door_drops(self) -> int:
        found = self._door.look() if self._door else None
        return found.drops if found else 0

    def close(self) -> None:
        """Let go of its clock; the door is the network's."""
        self._clock.close()


class LinkCounters(NamedTuple):
    """The link engine's own counters, its pipes' and its classes', live."""

    engine: Records
    pipes: Records
    classes: Records


class Watched(Protocol):
    """What the monitor reads of the monitored network; no call of it may block."""

    def threads(self) -> Mapping[str, Thread]:
        """Threads whose punctuality is the emulation's, by name, as they are now."""

    def door(self, thread: str) -> PacketSockets | None:
        """The sockets through which frames reach a thread, if it has such."""

    def processes(self) -> Mapping[str, int]:
        """Processes that matter as a whole, by name."""

    def pipe_names(self) -> Mapping[int, str]:
        """What the engine's pipes are, by number."""

    def counters(self) -> LinkCounters | None:
        """The link engine's; None where there is no engine."""

    def machine_drops(self) -> Mapping[str, int]:
        """Frames lost by the machine and not by the model since the network was made, by place."""


class HealthMonitor:
    """Monitors ``watched`` from ``start`` to ``stop``. ``sends``: the traffic's lateness histogram, live, whose bins
    end at ``send_limits_ns``; ``tell`` gets every second as it ends, from the watch's own thread."""

    def __init__(self, watched: Watched, sends: Array, send_limits_ns: Array, tell: Callable[[Second], None]) -> None:
        self._watched, self._sends, self._send_limits_ns, self._tell = watched, sends, send_limits_ns, tell
        self._parts: dict[str, ObservedPart] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._seconds: list[Second] = []
        self._error: OSError | None = None

    def start(self, epoch_ns: int) -> None:
        """Begin; ``epoch_ns`` (CLOCK_REALTIME) is when second 0 begins."""
        self._epoch_ns = epoch_ns
        self._lines = self._watched.pipe_names()
        self._first = self._load = read_load()
        self._counts = _Counts(self._watched, self._sends)
        self._thread.start()

    def stop(self) -> tuple[tuple[Second, ...], Pressure]:
        """End; every second so far, the last perhaps cut short, and the pressure over all of them.
        Raises the OSError that ended the watch before, if one did."""
        self._stopping.set()
        self._thread.join()
        if self._error:
            raise self._error
        return tuple(self._seconds), pressure_between(self._first, self._load)

    def _run(self) -> None:
        set_realtime(LINKS)  # one that starves with its patients sees nothing
        try:
            self._meet_parts()
            number = self._number()
            last_ns = time.monotonic_ns()
            while not self._stopping.wait(max(LOOK_S, len(self._parts) * LOOKS_PER_PART_S)):
                now_ns = time.monotonic_ns()
                self._look((now_ns - last_ns) / 1000)
                last_ns = now_ns
                if self._number() != number:
                    self._close_second(number)
                    number = self._number()
            self._close_second(number)
        except OSError as error:
            self._error = error
        finally:
            for part in self._parts.values():
                part.close()

    def _number(self) -> int:
        return (time.time_ns() - self._epoch_ns) // SECOND_NS

    def _meet_parts(self) -> None:
        """Know the parts that there are now: a router that came back is another process."""
        present = self._watched.threads()
        for name in [name for name, part in self._parts.items() if present.get(name) != part.thread]:
            self._parts.pop(name).close()
        for name, thread in present.items():
            if name not in self._parts:
                try:
                    self._parts[name] = ObservedPart(thread, self._watched.door(name))
                except OSError:  # it has just ended; whoever minds parts that die will say so
                    continue

    def _look(self, elapsed_us: float) -> None:
        for name, part in list(self._parts.items()):
            try:
                part.look(elapsed_us)
            except OSError:  # it has ended
                self._parts.pop(name).close()

    def _close_second(self, number: int) -> None:
        before, counts = self._counts, _Counts(self._watched, self._sends)
        load_before, load = self._load, read_load()
        self._counts, self._load = counts, load
        strains, drops = self._take_strains()
        drops |= {place: lost for place, now in counts.drops.items() if (lost := now - before.drops.get(place, 0)) > 0}
        second = Second(
            number=number,
            pressure=pressure_between(load_before, load),
            links=None if counts.links is None else punctuality(counts.links - before.links),
            sends=punctuality(counts.sends - before.sends, self._send_limits_ns),
            late_lines=counts.late_lines(before, self._lines),
            unread_us=counts.unread_us if counts.unread_us > before.unread_us else 0.0,
            throttled_us=load.throttled_us - load_before.throttled_us,
            backlog_drops=load.backlog_drops - load_before.backlog_drops,
            drops=drops,
            threads=strains,
            processes=counts.strains_since(before, load.at_us - load_before.at_us),
        )
        self._seconds.append(second)
        self._tell(second)
        self._meet_parts()

    def _take_strains(self) -> tuple[dict[str, SchedulingDelay], dict[str, int]]:
        strains, drops = {}, {}
        for name, part in self._parts.items():
            strains[name], lost = part.take()
            if lost:
                drops[f"{name}'s door"] = lost
        return strains, drops


class _Counts:
    """Copies of monotonic counters, taken at one time."""

    def __init__(self, watched: Watched, sends: Array) -> None:
        self.links: Array | None = None
        self.unread_us = 0.0
        self._latest: Latest | None = None
        if counters := watched.counters():
            self.links = counters.engine["lateness"][0].astype(np.int64)
            self.unread_us = int(counters.engine["longest_round_ns"][0]) / 1000
            self._latest = Latest.of(counters.pipes, counters.classes)
        self.sends: Array = sends.astype(np.int64)
        self.drops = watched.machine_drops()
        self._processes = {name: thread_clocks(pid) for name, pid in watched.processes().items()}

    def late_lines(self, before: _Counts, names: Mapping[int, str]) -> dict[str, float]:
        """The lines with the latest frames since ``before``, and how late those were, microseconds."""
        if self._latest is None or before._latest is None:
            return {}
        late_ns = self._latest.since(before._latest)
        latest = np.argsort(late_ns)[::-1][:LINES_NAMED]
        return {names[int(pipe)]: float(late_ns[pipe]) / 1000 for pipe in latest if late_ns[pipe]}

    def strains_since(self, before: _Counts, elapsed_us: int) -> dict[str, SchedulingDelay]:
        """The strain of the processes: the wait of that thread which waited longest."""
        return {
            name: process_scheduling_delay(before._processes.get(name, {}), clocks, elapsed_us)
            for name, clocks in self._processes.items()
        }
