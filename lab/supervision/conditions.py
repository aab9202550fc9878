"""The condition of each process of a running lab, from readings of its state and clocks (proc(5)). Pure.

A process is *dead* when it has ended; *stalled* when a signal or debugger has stopped it, or when it has not run for
STALLED_AFTER_S although it always wakes up sooner; *late* when it waited for a core for most of the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

STALLED_AFTER_S = 10.0  # in an idle network every part was seen to run at least every 2.7 s (ovsdb-server)
LATE_SHARE = 0.5  # of the time between readings; beyond it a process gets less than half of what it asks for
LATE_READINGS = 3  # in succession, to become late as to be on time again: one reading shows the machine's noise
PAST_KEPT = 50
STOPPED_BY_SIGNAL = "stopped by a signal"


class Condition(str, Enum):
    """What is wrong with a part."""

    DEAD = "dead"
    STALLED = "stalled"
    LATE = "late"


class Time(NamedTuple):
    """A point in time by two clocks: for showing it (CLOCK_REALTIME) and for durations (CLOCK_MONOTONIC)."""

    wall_ns: int
    monotonic_ns: int

    def seconds_since(self, earlier: Time) -> float:
        """Seconds from ``earlier`` to this time."""
        return (self.monotonic_ns - earlier.monotonic_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Reading:
    """A process's state letter, and its first thread's time on a core and waiting for one."""

    state: str
    ran_ns: int
    waited_ns: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """``part`` is, or was, in a ``condition`` from ``since`` on, for a ``reason``; ``until`` is None while it lasts.
    ``log``: the file that may tell more."""

    part: str
    condition: Condition
    since: Time
    reason: str
    log: str = ""
    until: Time | None = None

    def facts(self, now: Time) -> dict[str, object]:
        """The trouble as JSON values; times are Unix times in seconds."""
        return {
            "part": self.part,
            "condition": self.condition.value,
            "since": self.since.wall_ns / 1e9,
            "until": None if self.until is None else self.until.wall_ns / 1e9,
            "for_s": round((self.until or now).seconds_since(self.since), 1),
            "reason": self.reason,
            "log": self.log or None,
        }


class PartConditions:
    """The troubles of a lab's parts, present and past. Methods return the troubles that began or ended."""

    def __init__(self) -> None:
        self._present: dict[str, Trouble] = {}
        self._past: deque[Trouble] = deque(maxlen=PAST_KEPT)
        self._watched: dict[str, _Watched] = {}

    @property
    def present(self) -> tuple[Trouble, ...]:
        """The troubles that last, the oldest first."""
        return tuple(sorted(self._present.values(), key=lambda each: each.since.monotonic_ns))

    @property
    def past(self) -> tuple[Trouble, ...]:
        """The latest troubles that have ended, in the order of their ends."""
        return tuple(self._past)

    def observe(self, part: str, reading: Reading, now: Time, log: str = "") -> list[Trouble]:
        """Take a reading of a part that has not ended."""
        watched = self._watched.setdefault(part, _Watched(reading, now, now))
        state, since, reason = watched.take(reading, now)
        present = self._present.get(part)
        if (present is not None and present.condition is state) or (present is None and state is None):
            return []
        changed = self.end(part, now)
        return changed if state is None else changed + self.begin(Trouble(part, state, since, reason, log))

    def begin(self, trouble: Trouble) -> list[Trouble]:
        """A trouble begins, in place of the part's present one."""
        changed = self.end(trouble.part, trouble.since)
        self._present[trouble.part] = trouble
        return [*changed, trouble]

    def end(self, part: str, now: Time) -> list[Trouble]:
        """The part's trouble, if it has one, ends: it runs again, or another trouble begins."""
        trouble = self._present.pop(part, None)
        if trouble is None:
            return []
        ended = replace(trouble, until=now)
        self._past.append(ended)
        return [ended]

    def forget(self, parts: Iterable[str]) -> None:
        """Forget the readings of parts whose process is another one from now on, or none."""
        for part in parts:
            self._watched.pop(part, None)


class _Watched:
    """A process that is watched: its latest reading, when it last ran, and how often in succession it was late."""

    def __init__(self, reading: Reading, at: Time, ran_at: Time) -> None:
        self._reading, self._at, self._ran_at = reading, at, ran_at
        self._stopped_at: Time | None = None
        self._late_at: Time | None = None  # when it began to be late
        self._readings = 0  # in succession that say the opposite of ``_late``
        self._late = False

    def take(self, reading: Reading, now: Time) -> tuple[Condition | None, Time, str]:
        """The condition after a reading (None: it runs), since when, and why."""
        before, began = self._reading, self._at
        elapsed_ns = max(1, now.monotonic_ns - began.monotonic_ns)
        self._reading, self._at = reading, now
        if reading.ran_ns != before.ran_ns:
            self._ran_at = now
        if reading.state in ("T", "t"):
            self._stopped_at = self._stopped_at or now
            return Condition.STALLED, self._stopped_at, _STOPPED[reading.state]
        self._stopped_at = None
        if reading.state != "R" and now.seconds_since(self._ran_at) >= STALLED_AFTER_S:
            return Condition.STALLED, self._ran_at, f"it does not run (state {reading.state}, see proc(5))"
        waited = (reading.waited_ns - before.waited_ns) / elapsed_ns
        return self._lateness(waited, began, now)

    def _lateness(self, waited: float, began: Time, now: Time) -> tuple[Condition | None, Time, str]:
        if (waited > LATE_SHARE) is self._late:
            self._readings = 0
        else:
            self._late_at = began if not self._late and not self._readings else self._late_at
            self._readings += 1
            if self._readings == LATE_READINGS:
                self._late, self._readings = not self._late, 0
        if not self._late or self._late_at is None:
            return None, now, ""
        return Condition.LATE, self._late_at, "waits for a core most of the time: the machine is overloaded"


_STOPPED = {"T": STOPPED_BY_SIGNAL, "t": "stopped by a debugger"}
