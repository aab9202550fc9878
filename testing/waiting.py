"""Conditions that come true, or stay true, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from helsewan.common.units import format_duration, parse_duration_us

T = TypeVar("T")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.005, 0.1  # between two looks; they grow, so that a long wait costs little


def eventually(condition: Callable[[], T], within: str | float = "10 s", what: str = "") -> T:
    """Wait until ``condition()`` is true; returns its value.

    ``within``: a duration such as ``"500 ms"``, or seconds. An AssertionError of the condition counts as not true yet.
    Raises AssertionError, with the last value or error and ``what`` was waited for, when the time is over; the
    condition is looked at at least once."""
    limit_s, began = seconds(within), time.monotonic()
    wait_s, last, looks = FIRST_WAIT_S, "", 0
    while True:
        looks += 1
        try:
            if value := condition():
                return value
            last = f"last value {value!r}"
        except AssertionError as error:
            last = f"last error {error}"
        left_s = limit_s - (time.monotonic() - began)
        if left_s <= 0:
            shown = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{shown}: not true within {shown_time(limit_s)} ({looks} looks, {last})")
        time.sleep(min(wait_s, left_s))
        wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)


def stays_true_for(condition: Callable[[], object], duration: str | float, what: str = "") -> None:
    """Look at ``condition()`` again and again for a duration (``"2 s"``, or seconds). Raises AssertionError, which says
    after what time, when it is not true."""
    limit_s, began = seconds(duration), time.monotonic()
    while True:
        value, at_s = condition(), time.monotonic() - began
        if not value:
            shown = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(
                f"{shown}: no longer true after {shown_time(at_s)} of {shown_time(limit_s)}: {value!r}"
            )
        if at_s >= limit_s:
            return
        time.sleep(min(FIRST_WAIT_S * 4, limit_s - at_s))


def seconds(duration: str | float) -> float:
    """A duration in seconds, from text with a unit or from a number of seconds. Raises ValueError."""
    if isinstance(duration, str):
        return parse_duration_us(duration) / 1e6
    if duration < 0:
        raise ValueError(f"{duration}: a duration is not negative")
    return float(duration)


def shown_time(duration_s: float) -> str:
    """A duration for people, to the millisecond."""
    return format_duration(round(duration_s * 1000) * 1000)
