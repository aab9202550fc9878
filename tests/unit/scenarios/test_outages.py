"""What events of the timeline did: time to detect, to re-optimise, to repair, and minutes lost per site."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest
from scenario_case import EPOCH_NS, FLOW, arrival, arrived_of

from helsewan.scenarios.results.event_times import DETECT, REOPTIMISE, event_delays
from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.results.outages import minutes_lost, time_to_repair
from helsewan.scenarios.spec.timeline.timepoints import EventTime

CALL = replace(FLOW, stop_us=10_000_000)
CUT = EventTime(3_000_000, 3_005_000)


def came(*lost_ms: range) -> list:  # type: ignore[type-arg]
    """The call's datagrams, 5 ms on the way, but those that were due (ms) in ``lost_ms``."""
    return [arrival(CALL, seq, 5_000) for seq in range(500) if not any(seq * 20 in lost for lost in lost_ms)]


@pytest.mark.parametrize(
    ("lost_ms", "expected_us"),
    [
        ([range(3_000, 3_200)], 205_000.0),  # due 200 ms after the cut, and 5 ms on the way
        ([range(2_980, 3_000)], 5_000.0),  # destroyed in flight
        ([], 0.0),
        ([range(1_000, 1_200), range(5_000, 5_100)], 0.0),  # lost by something else
    ],
)
def test_a_flow_is_back_with_the_first_arrival(lost_ms: list[range], expected_us: float) -> None:
    assert time_to_repair(arrived_of([CALL], came(*lost_ms)), CALL, CUT) == expected_us


def test_a_flow_that_stays_away_has_no_time_to_repair() -> None:
    assert isnan(time_to_repair(arrived_of([CALL], came(range(3_000, 10_000))), CALL, CUT))


def test_minutes_are_lost_at_both_ends() -> None:
    other = replace(CALL, id=1, server="c")
    records = [*came(range(3_000, 5_400)), *(arrival(other, seq, 5_000) for seq in range(500))]
    lost = minutes_lost(arrived_of([CALL, other], records), [CALL, other], Window("run", 0, 10_000_000))
    assert lost["b"] == pytest.approx(2 / 60), "of the third second less than half is lost"
    assert lost["a"] == 0, "its other flow goes on: half is not more than half"
    assert lost["c"] == 0


def test_a_window_that_does_not_come_out_even_ends_with_a_part_of_a_second() -> None:
    lost = minutes_lost(arrived_of([CALL], []), [CALL], Window("dark", 2_000_000, 3_500_000))
    assert lost == {"a": 1.5 / 60, "b": 1.5 / 60}


def event(kind: str, at_us: int, **facts: object) -> dict[str, object]:
    """A line of history of a run whose monotonic clock began 7 s before its wall clock's zero."""
    now_ns = EPOCH_NS + at_us * 1000
    return {"event": kind, "wall_ns": now_ns, "monotonic_ns": now_ns - 7_000_000_000, **facts}


HISTORY = [
    event("controller.port-up", -2_000_000),
    event("traffic-started", -400_000, epoch_ns=EPOCH_NS),
    event("controller.port-down", 3_031_000),
    event("controller.port-down", 3_032_000),
    event("controller.paths-switched", 3_300_000),
    event("controller.switch-down", 5_500_000),
    event("controller.paths-switched", 5_900_000),
    event("repair", 7_000_000),
    event("controller.port-up", 7_400_000),
]
TIMES = {"cut": CUT, "repair": EventTime(7_000_000, 7_001_000), "later": EventTime(8_000_000, 8_001_000)}


def test_the_history_says_when_an_event_was_detected_and_answered() -> None:
    assert event_delays(HISTORY, TIMES) == {
        (DETECT, "cut"): 31_000.0,
        (REOPTIMISE, "cut"): 2_900_000.0,  # the last new paths before the next event
        (DETECT, "repair"): 400_000.0,
    }


def test_a_step_of_the_wall_clock_moves_nothing() -> None:
    stepped = [{**line, "wall_ns": int(str(line["wall_ns"])) + (i > 1) * 10**12} for i, line in enumerate(HISTORY)]
    assert event_delays(stepped, TIMES) == event_delays(HISTORY, TIMES)
