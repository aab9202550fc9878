"""The health of a network that runs without an end: which bounds were exceeded, and when. Pure.

A run keeps all its seconds; here only those that exceed a bound are kept, and sums of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from helsewan.lab.health.health import Second
from helsewan.lab.health.stalls import NEAR, stall_share
from helsewan.lab.health.validity import (
    MS,
    STALLED,
    STEAL,
    Demand,
    Grade,
    Reason,
    Validity,
    ValidityFinding,
    assess,
    of_second,
)

KEPT_FINDINGS = 50_000  # beyond bounds: some 10 MB
CALM_S = 60  # after so long without a second beyond a bound the network is as good as new
TIMES_SHOWN = 3
KEPT_NEAR, NEAR_SHOWN = 5_000, 3  # stalls within their bounds, but of at least NEAR of them
# A second is recorded when it has ended. Later, the monitor did not run: the machine was suspended, or overloaded.
UNWATCHED = Demand("the machine was not monitored for", MS, suspect=2000.0, void=None)


@dataclass(frozen=True, slots=True)
class Turn:
    """The network's grade changed at ``at_s`` (s since the epoch), for ``reasons``."""

    at_s: int
    grade: Grade
    reasons: tuple[Reason, ...]


class HealthLog:
    """Records every second with the time at which it ended, in seconds since the epoch; findings have that time as
    their second."""

    def __init__(self) -> None:
        self._broken: deque[ValidityFinding] = deque(maxlen=KEPT_FINDINGS)
        self._near: deque[ValidityFinding] = deque(maxlen=KEPT_NEAR)
        self._worst: dict[Demand, float] = {}
        self._minutes: dict[int, _Minute] = {}
        self._last_s: float | None = None
        self._last_broken_s = 0
        self._dropped_before_s = 0  # findings until then may be missing
        self.grade = Grade.VALID  # of the present: of the last CALM_S

    def add(self, second: Second, at_s: float, elapsed_s: float) -> Turn | None:
        """Record a second that ended at ``at_s``, ``elapsed_s`` after the previous one by a monotonic clock. Returns
        the change of the grade, if it changed."""
        at = int(at_s)
        self._last_s = at_s
        self._minutes.setdefault(at // 60, _Minute()).add(second)
        found = [replace(finding, second=at) for finding in of_second(second)]
        found.append(ValidityFinding(UNWATCHED, round((elapsed_s - 1) * 1000, 1), second=at))
        broken = []
        for finding in found:
            self._worst[finding.demand] = max(self._worst.get(finding.demand, finding.value), finding.value)
            if finding.demand.grade(finding.value) is not Grade.VALID:
                broken.append(finding)
            elif stall_share(finding) >= NEAR:
                self._near.append(finding)
        return self._turn(at, broken)

    def _turn(self, at: int, broken: list[ValidityFinding]) -> Turn | None:
        for finding in broken:
            if len(self._broken) == KEPT_FINDINGS:
                self._dropped_before_s = self._broken[0].second or 0
            self._broken.append(finding)
        before = self.grade
        if broken:
            self._last_broken_s = at
            now = assess(broken)
            if now.grade.rank > before.rank:
                self.grade = now.grade
                return Turn(at, now.grade, now.reasons)
        elif before is not Grade.VALID and at - self._last_broken_s >= CALM_S:
            self.grade = Grade.VALID
            return Turn(at, self.grade, ())
        return None

    def validity(self, since_s: float = 0.0, more: Iterable[ValidityFinding] = ()) -> Validity:
        """The validity from ``since_s`` on (s since the epoch), with ``more`` findings over that time."""
        broken = [finding for finding in self._broken if (finding.second or 0) >= since_s]
        worst = [ValidityFinding(demand, value) for demand, value in self._worst.items()] if not since_s else []
        kept_only = [finding for finding in worst if finding.demand.grade(finding.value) is Grade.VALID]
        near = sorted((each for each in self._near if (each.second or 0) >= since_s), key=stall_share, reverse=True)
        return replace(assess([*broken, *kept_only, *self._pressure(since_s), *more]), near=tuple(near[:NEAR_SHOWN]))

    def complete_since(self, since_s: float) -> bool:
        """Whether no finding since then was dropped for lack of space."""
        return since_s > self._dropped_before_s or not self._dropped_before_s

    def _pressure(self, since_s: float) -> Iterator[ValidityFinding]:
        """Processor use over whole minutes."""
        minutes = [minute for number, minute in self._minutes.items() if number >= int(since_s) // 60]
        if seconds := sum(minute.seconds for minute in minutes):
            yield ValidityFinding(STEAL, round(sum(minute.steal for minute in minutes) / seconds, 4))
        if seconds := sum(minute.stalled_seconds for minute in minutes):
            yield ValidityFinding(STALLED, round(sum(minute.stalled for minute in minutes) / seconds, 4))


@dataclass(slots=True)
class _Minute:
    """Sums over the seconds of a minute."""

    seconds: int = 0
    steal: float = 0.0
    stalled_seconds: int = 0
    stalled: float = 0.0

    def add(self, second: Second) -> None:
        self.seconds += 1
        self.steal += second.pressure.steal
        if second.pressure.stalled is not None:
            self.stalled_seconds += 1
            self.stalled += second.pressure.stalled


def described(reason: Reason) -> str:
    """A reason whose seconds are times, in words: with the first times of the day, in local time."""
    text = str(replace(reason, seconds=()))
    if reason.seconds:
        times = [f"{datetime.fromtimestamp(at):%H:%M:%S}" for at in reason.seconds[-TIMES_SHOWN:]]
        more = len(reason.seconds) - len(times)
        text += f" (at {', '.join(times)}{f' and {more} times before' if more else ''})"
    return text


def described_near(stall: ValidityFinding) -> str:
    """A stall within its bound, in words: where, what, when by local time, and how much of the bound."""
    where = f"{stall.where}: " if stall.where else ""
    unit = " ms" if stall.demand.unit == MS else ""
    at = f"{datetime.fromtimestamp(stall.second or 0):%H:%M:%S}"
    share = f"{stall_share(stall):.2f} of the bound"
    return f"{where}{stall.demand.what} {stall.value:g}{unit} at {at}, {share}: what failed then is suspect"


def as_json(validity: Validity) -> dict[str, Any]:
    """The grade and its reasons as JSON values; times are in seconds since the epoch."""
    return {
        "grade": validity.grade.value,
        "reasons": [
            {
                "grade": reason.grade.value,
                "what": reason.what,
                "where": reason.where,
                "value": reason.value,
                "limit": reason.limit,
                "unit": reason.unit,
                "seconds": len(reason.seconds),
                "first": reason.seconds[0] if reason.seconds else None,
                "last": reason.seconds[-1] if reason.seconds else None,
                "text": described(reason),
            }
            for reason in validity.reasons
        ],
        "near": [
            {
                "what": stall.demand.what,
                "where": stall.where,
                "value": stall.value,
                "share_of_bound": round(stall_share(stall), 3),
                "at": stall.second,
                "text": described_near(stall),
            }
            for stall in validity.near
        ],
    }
