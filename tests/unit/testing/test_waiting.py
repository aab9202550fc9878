"""Waiting for conditions: a value, the reason of a failure, and bounds."""

from __future__ import annotations

from itertools import count

import pytest

from helsewan.testing import eventually, stays_true_for
from helsewan.testing.waiting import seconds


def test_it_returns_the_value_as_soon_as_it_is_true() -> None:
    looks = count()
    assert eventually(lambda: next(looks) >= 2 and "there", within="30 s") == "there"
    assert next(looks) == 3


def test_an_assertion_is_not_true_yet() -> None:
    looks = count()

    def condition() -> bool:
        assert next(looks) > 1, "too early"
        return True

    assert eventually(condition, within="30 s")


def test_a_failure_says_what_for_how_long_and_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"^the router: not true within 20 ms \(\d+ looks, last value 0\)$"):
        eventually(lambda: 0, within="20 ms", what="the router")

    def condition() -> None:
        raise AssertionError("still down")

    with pytest.raises(AssertionError, match=r"^condition: not true within 0 us \(1 looks, last error still down\)$"):
        eventually(condition, within=0)


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)


def test_staying_true() -> None:
    stays_true_for(lambda: True, "20 ms")
    looks = count()
    with pytest.raises(AssertionError, match=r"the link: no longer true after \d+ ms of 30 s: False"):
        stays_true_for(lambda: next(looks) < 3, "30 s", "the link")


@pytest.mark.parametrize(("duration", "expected"), [("250 ms", 0.25), (2, 2.0), (0.5, 0.5)])
def test_durations(duration: str | float, expected: float) -> None:
    assert seconds(duration) == expected


@pytest.mark.parametrize("duration", ["1", "soon", -1])
def test_what_is_no_duration(duration: str | float) -> None:
    with pytest.raises(ValueError):
        seconds(duration)
