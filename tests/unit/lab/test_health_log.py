"""The health of a network that runs without an end: grades of windows, turns, and nothing that grows without bound."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from helsewan.common.errors import InputError
from helsewan.lab.health import health_log
from helsewan.lab.health.health import LatenessSummary, Pressure, Second
from helsewan.lab.health.health_log import CALM_S, HealthLog, as_json, described
from helsewan.lab.health.since import parse_since
from helsewan.lab.health.validity import LINKS_P99, Grade, ValidityFinding

BEGAN = 1_800_000_000


def second(unread_ms: float = 0.0, steal: float = 0.0) -> Second:
    return Second(0, Pressure(0.0, 0.2, steal), unread_us=unread_ms * 1000, links=LatenessSummary())


def test_a_stall_is_in_its_window_only() -> None:
    log = HealthLog()
    for at in range(10):
        log.add(second(1500.0 if at == 4 else 0.0), BEGAN + at, 1.0)
    whole = log.validity()
    assert whole.grade is Grade.VOID
    (reason,) = whole.reasons
    assert (reason.value, reason.limit, reason.seconds) == (1500.0, 40.0, (BEGAN + 4,))
    assert log.validity(BEGAN + 4).grade is Grade.VOID
    assert log.validity(BEGAN + 5).grade is Grade.VALID


def test_what_a_caller_adds_counts() -> None:
    log = HealthLog()
    log.add(second(), BEGAN, 1.0)
    assert log.validity(more=[ValidityFinding(LINKS_P99, 1.0)]).grade is Grade.SUSPECT


def test_steal_is_graded_over_the_window() -> None:
    log = HealthLog()
    for at in range(240):
        log.add(second(steal=0.04 if at < 120 else 0.0), BEGAN + at, 1.0)
    assert log.validity().grade is Grade.SUSPECT
    assert log.validity(BEGAN + 180).grade is Grade.VALID


def test_turns_are_told_once_and_end_with_calm() -> None:
    log = HealthLog()
    turns = []
    for at in range(200):
        unread_ms = {10: 30.0, 11: 30.0, 20: 100.0, 21: 30.0}.get(at, 0.0)
        turns += [turn for turn in [log.add(second(unread_ms), BEGAN + at, 1.0)] if turn]
    assert [(turn.at_s - BEGAN, turn.grade) for turn in turns] == [
        (10, Grade.SUSPECT),
        (20, Grade.VOID),
        (21 + CALM_S, Grade.VALID),
    ]
    assert "link engine did not check for frames" in str(turns[1].reasons[0])


def test_time_that_nobody_watched_is_suspect() -> None:
    """A machine that slept, or a monitor that was stopped itself."""
    log = HealthLog()
    log.add(second(), BEGAN, 1.0)
    turn = log.add(second(), BEGAN + 60, 60.0)
    assert turn is not None and turn.grade is Grade.SUSPECT and "was not monitored" in str(turn.reasons[0])


def test_memory_is_bounded_and_what_was_dropped_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_log, "KEPT_FINDINGS", 10)
    log = HealthLog()
    log._broken = type(log._broken)(maxlen=10)
    for at in range(25):
        log.add(second(50.0), BEGAN + at, 1.0)
    assert len(log._broken) == 10
    assert log.complete_since(BEGAN + 20) and not log.complete_since(BEGAN)


def test_reasons_in_words_and_for_programs() -> None:
    log = HealthLog()
    for at in range(5):
        log.add(second(50.0 + at), BEGAN + at, 1.0)
    (reason,) = log.validity().reasons
    shown = f"{datetime.fromtimestamp(BEGAN + 4):%H:%M:%S}"
    assert described(reason).endswith(f"{shown} and 2 times before)") and "54 ms, allowed 40" in described(reason)
    facts = as_json(log.validity())
    assert facts["grade"] == "void"
    assert facts["reasons"][0] | {"text": ""} == {
        "grade": "void",
        "what": "link engine did not check for frames for",
        "where": "",
        "value": 54.0,
        "limit": 40.0,
        "unit": "ms",
        "seconds": 5,
        "first": BEGAN,
        "last": BEGAN + 4,
        "text": "",
    }


def test_points_in_time() -> None:
    now = datetime(2026, 11, 30, 14, 5, 30)
    now_s = now.timestamp()
    for text, expected in {
        "14:05": now.replace(second=0),
        "14:05:30": now,
        "15:00": now.replace(hour=15, minute=0, second=0) - timedelta(days=1),
        "2026-11-30": now.replace(hour=0, minute=0, second=0),
        "2026-11-30 14:00": now.replace(minute=0, second=0),
        "2026-11-30T14:00:01": now.replace(minute=0, second=1),
        "10 min": now - timedelta(minutes=10),
        "1.5h": now - timedelta(minutes=90),
    }.items():
        assert parse_since(text, now_s) == expected.timestamp(), text
    assert parse_since("999999999999 h", now_s) == 0
    assert parse_since("2026-11-30T00:00:00Z", time.time() + 1e9) == 1_795_996_800


@pytest.mark.parametrize("text", ["", "25:00", "yesterday", "10", "-5 min", "2027-01-01"])
def test_no_points_in_time(text: str) -> None:
    with pytest.raises(InputError, match=r"^--since: '.*' is "):
        parse_since(text, datetime(2026, 11, 30).timestamp())


def test_a_stall_near_its_bound_is_named_and_no_reason() -> None:
    """A user's own check that failed then is doubtful, though the network is valid: 17 ms where 20 are allowed."""
    log = HealthLog()
    for at in range(20):
        log.add(second({3: 9.0, 5: 17.4, 7: 11.0, 9: 12.0, 11: 13.0, 13: 50.0}.get(at, 0.0)), BEGAN + at, 1.0)
    near = log.validity().near
    assert [(stall.value, (stall.second or 0) - BEGAN) for stall in near] == [(17.4, 5), (13.0, 11), (12.0, 9)]
    assert log.validity(BEGAN + 14).near == ()
    later = log.validity(BEGAN + 10)
    assert [stall.value for stall in later.near] == [13.0] and later.grade is Grade.VOID  # 50 ms are told as a reason
    (told, *_) = as_json(log.validity(BEGAN))["near"]
    assert told["share_of_bound"] == 0.87 and told["at"] == BEGAN + 5
    assert told["text"].startswith("link engine did not check for frames for 17.4 ms at ")
    assert told["text"].endswith(", 0.87 of the bound: what failed then is suspect")


def test_stalls_near_their_bounds_are_few_in_memory() -> None:
    log = HealthLog()
    for at in range(health_log.KEPT_NEAR + 10):
        log.add(second(15.0), BEGAN + at, 1.0)
    assert len(log._near) == health_log.KEPT_NEAR
