"""Dates and times in policies: when an exception begins and ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from helsewan.policies.language.refusal import Refusal

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?", re.ASCII)
_HINT = "write a date like 2026-12-31, or with a time and its offset from UTC, 2026-12-31 16:00+01:00"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A point in time, or a whole UTC day, from ``begins`` to ``ends``, both in UTC; they are equal for a point."""

    begins: datetime
    ends: datetime


def parse_timestamp(value: object) -> Timestamp:
    """A timestamp from text; raises ``Refusal`` for invalid text, and for a time without its offset from UTC."""
    if isinstance(value, Timestamp):
        return value
    if not isinstance(value, str) or not (_DATE.fullmatch(value) or _TIME.fullmatch(value)):
        raise Refusal("is no date", _HINT)
    try:
        if _DATE.fullmatch(value):
            begins = datetime.combine(date.fromisoformat(value), time(), UTC)
            return Timestamp(begins, begins + timedelta(days=1))
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if at.tzinfo is None:
            raise Refusal("is a time without its offset from UTC", f"write {value}+01:00, or {value}Z for UTC")
        return Timestamp(*[at.astimezone(UTC)] * 2)
    except (ValueError, OverflowError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal("is no date of the calendar", _HINT) from None


def utc_now() -> datetime:
    """The current time in UTC, for callers that may read the clock."""
    return datetime.now(UTC)


def shown(at: datetime) -> str:
    """``at``, which must be in UTC, as text for output."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")
