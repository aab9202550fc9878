"""Points in time as a scenario writes them: ``10 s``, ``failure``, ``failure + 500 ms``, ``end``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from helsewan.common.units import UnitError, format_duration, parse_duration_us

# A phase that begins or ends "at" an event does so this long before it, so that datagrams in flight that the event
# destroys count in the phase that begins with it. More than the longest one-way delay in the network.
IN_FLIGHT_US = 50_000

START = "start"
END = "end"
RUN = "run"  # the phase that every scenario has: the whole run

_RELATIVE = re.compile(r"\s*(?P<anchor>[a-z][a-z0-9.-]*)\s*(?:(?P<sign>[+-])\s*(?P<offset>\d.*?)\s*)?")
_EXAMPLE = "write for example 10 s, failure, failure + 500 ms or end"


@dataclass(frozen=True, slots=True)
class EventTime:
    """When an event's action began and when it was done, microseconds from the run's start."""

    begin_us: int
    done_us: int


@dataclass(frozen=True, slots=True)
class TimePoint:
    """``offset_us`` from ``anchor``: the run's ``start``, its ``end``, or an event of the timeline."""

    anchor: str
    offset_us: int = 0

    def resolve(self, event_times: Mapping[str, EventTime], end_us: int) -> int:
        """Microseconds from the run's start. A point after an event counts from the end of its action, any other from
        ``IN_FLIGHT_US`` before its begin. Raises KeyError for an event without a time."""
        if self.anchor in (START, END):
            return (end_us if self.anchor == END else 0) + self.offset_us
        event = event_times[self.anchor]
        if self.offset_us > 0:
            return event.done_us + self.offset_us
        return event.begin_us - IN_FLIGHT_US + self.offset_us

    @property
    def event(self) -> str | None:
        """The event that it is relative to, None for a time of the run itself."""
        return None if self.anchor in (START, END) else self.anchor

    def __str__(self) -> str:
        if self.anchor == START:
            return format_duration(self.offset_us)
        sign = "+" if self.offset_us > 0 else "-"
        return self.anchor + (f" {sign} {format_duration(abs(self.offset_us))}" if self.offset_us else "")


def parse_time_point(value: object) -> TimePoint:
    """A point in time from text. Raises ``UnitError``."""
    if isinstance(value, TimePoint):
        return value
    match = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return TimePoint(START, _duration_us(value))
    offset_us = parse_duration_us(match["offset"]) if match["offset"] else 0
    return TimePoint(match["anchor"], -offset_us if match["sign"] == "-" else offset_us)


def _duration_us(value: object) -> int:
    try:
        return parse_duration_us(value)
    except UnitError as error:
        general = error.hint.startswith("write for example")
        raise UnitError(error.reason, _EXAMPLE if general else error.hint) from None
