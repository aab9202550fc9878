"""Points in time that users name by a time of day, a date or a duration before now."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from helsewan.common.errors import InputError, Problem
from helsewan.common.units import UnitError, parse_duration_us

_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)
_HINT = "write a time such as 14:05 or 2026-12-31 14:05, or a duration before now such as 10min"


def parse_since(text: str, now_s: float) -> float:
    """The time that ``text`` names, in seconds since the epoch: ``14:05`` (local time, the last one), a date with or
    without a time, or a duration before ``now_s``. Raises InputError for anything else and for the future."""
    since_s = _since(text.strip(), now_s)
    if since_s is None:
        raise InputError(Problem("--since", text, "is neither a time nor a duration", _HINT))
    if since_s > now_s:
        raise InputError(Problem("--since", text, "is in the future", _HINT))
    return since_s


def _since(text: str, now_s: float) -> float | None:
    now = datetime.fromtimestamp(now_s).astimezone()
    try:
        if _CLOCK.fullmatch(text):
            clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M").time()
            at = datetime.combine(now.date(), clock)
            if at.timestamp() > now_s:
                at -= timedelta(days=1)
            return at.timestamp()
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        pass
    try:
        before_us = parse_duration_us(text)
    except UnitError:
        return None
    return max(0.0, now_s - before_us / 1e6)
