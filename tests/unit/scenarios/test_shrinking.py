"""Delta debugging and the reduction of scenarios, with an oracle in place of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_text import SMALL, read

from helsewan.common.document import loads
from helsewan.scenarios.repetition import reduction
from helsewan.scenarios.repetition.delta_debugging import least, smallest
from helsewan.scenarios.repetition.shrink import TRIES, RunsSpent, Search
from helsewan.scenarios.repetition.summary import RunOutcome
from helsewan.scenarios.run.kept_inputs import dumped, filled_in
from helsewan.scenarios.spec.spec import read_scenario

Data = dict[str, Any]


@given(st.lists(st.integers(0, 30), unique=True, max_size=24), st.data())
def test_what_is_left_fails_and_nothing_can_be_left_out(parts: list[int], data: st.DataObject) -> None:
    needed = set(data.draw(st.lists(st.sampled_from(parts), max_size=5))) if parts else set()
    found = smallest(parts, lambda part: needed <= set(part))
    assert found == [part for part in parts if part in needed]


@given(st.sets(st.frozensets(st.integers(0, 9), min_size=1), min_size=1, max_size=8))
def test_it_is_minimal_also_where_several_causes_fail(causes: set[frozenset[int]]) -> None:
    asked = 0

    def fails(part: Sequence[int]) -> bool:
        nonlocal asked
        asked += 1
        return any(cause <= set(part) for cause in causes)

    found = smallest(range(10), fails)
    assert fails(found)
    assert not any(fails([each for each in found if each != left_out]) for left_out in found)
    assert asked <= 10 * 10 + 3 * 10 + 20


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_value_is_halved_as_long_as_that_fails(most: int, bound: int) -> None:
    found = least(most, 1, lambda value: value >= min(bound, most))
    assert min(bound, most) <= found <= min(max(2 * bound, 1), most)


# --- scenarios ------------------------------------------------------------------------------------------------

DRAWN = (
    SMALL.replace("duration: 10 s", "duration: 20 s")
    .replace("after: {from: repair, to: end}", "after: {from: repair, to: end}\n  late: {from: fault-1, to: end}")
    .replace(
        "phases:",
        "  fault-1: {at: 7 s, for: 4 s, fail: {link: oslo-hamar}}\n"
        "  fault-2: {at: fault-1 + 1 s, for: 2 s, blackhole: {link: moirana-bodo}}\n"
        "  fault-3: {at: 8 s, for: 1 s, fail: {router: bodo}}\nphases:",
    )
    + '  late: {metric: loss, phase: late, limit: "< 1 %"}\n'
    + '  slow: {metric: time_to_repair, event: fault-3, limit: "< 1 s"}\n'
    + "assert:\n"
    + '  back: {metric: loss, limit: "< 5 %", within: 2 s of fault-3}\n'
)


def drawn() -> Data:
    return filled_in(read(DRAWN))


def test_events_that_refer_to_one_another_stand_or_fall_together() -> None:
    assert reduction.event_groups(drawn()) == [("failure", "repair"), ("fault-1", "fault-2"), ("fault-3",)]


@pytest.mark.parametrize(
    "kept", [[], ["fault-3"], ["fault-1", "fault-2"], ["failure", "repair"], ["failure", "repair", "fault-3"]]
)
def test_what_is_left_of_a_timeline_is_a_scenario(kept: list[str]) -> None:
    smaller = reduction.only_events(drawn(), kept)
    spec = read_scenario(loads(dumped(smaller).encode(), "smaller.yaml")).spec
    assert list(spec.timeline) == [name for name in drawn()["timeline"] if name in kept]
    assert ("late" in spec.phases) is ("late" in spec.checks) is ("fault-1" in kept)
    assert ("slow" in spec.checks) is ("back" in spec.assertions) is ("fault-3" in kept)
    assert "leaks" in spec.checks


def test_what_is_left_of_the_traffic_is_a_scenario() -> None:
    smaller = reduction.only_traffic(drawn(), ["calls"])
    spec = read_scenario(loads(dumped(smaller).encode(), "smaller.yaml")).spec
    assert (list(spec.traffic), "answered" in spec.checks) == (["calls"], False)


def outcome(verdict: str, *failed: str) -> RunOutcome:
    checks = [{"name": name, "passed": False, "severity": "must"} for name in failed]
    return RunOutcome("run-1", {"verdict": verdict, "checks": checks})


def searched(fails: Callable[[Data], bool], most: int = 200) -> Search:
    """A search in which every scenario that can be read fails the check "leaks" where ``fails`` says so."""

    def attempt(data: Data) -> RunOutcome:
        read_scenario(loads(dumped(data).encode(), "smaller.yaml"))
        return outcome("fail", "leaks") if fails(data) else outcome("pass")

    return Search(attempt, frozenset({"leaks"}), most)


def culprit(data: Data) -> bool:
    """One link's failure, for a second at least, under five calls."""
    event = data.get("timeline", {}).get("fault-3")
    lasts_ms = {"1 s": 1000, "500 ms": 500, "250 ms": 250, "125 ms": 125}.get(event["for"], 0) if event else 0
    return lasts_ms >= 250 and data["traffic"].get("calls", {}).get("count", 0) >= 2


def test_a_failing_scenario_becomes_as_small_as_its_cause() -> None:
    search = searched(culprit)
    data = reduction.only_checks(drawn(), {"leaks"})
    assert search.fails_again(data)
    search.shrink(data)
    found = search.found
    assert found is not None
    assert found["timeline"] == {"fault-3": {"at": "8 s", "for": "250 ms", "fail": {"router": "bodo"}}}
    assert (list(found["traffic"]), found["traffic"]["calls"]["count"]) == (["calls"], 2)
    assert list(found["checks"]) == ["leaks"]
    assert search.runs < 30


def test_the_runs_are_bounded_and_the_smallest_so_far_is_kept() -> None:
    search = searched(culprit, most=3)
    data = reduction.only_checks(drawn(), {"leaks"})
    assert search.fails_again(data)
    with pytest.raises(RunsSpent):
        search.shrink(data)
    assert search.runs == 3 and search.found is not None


def test_void_runs_are_repeated_and_are_no_failure() -> None:
    verdicts = iter(["void", "fail"])
    search = Search(lambda data: outcome(next(verdicts), "leaks"), frozenset({"leaks"}), 10)
    assert search.fails(drawn()) and search.runs == 2
    always = Search(lambda data: outcome("void"), frozenset({"leaks"}), 10)
    assert not always.fails(drawn())
    assert (always.runs, always.undecided) == (TRIES, 1)


def test_another_failure_is_not_this_one() -> None:
    search = Search(lambda data: outcome("fail", "answered"), frozenset({"leaks"}), 10)
    assert not search.fails(drawn())
    assert not search.fails(reduction.only_checks(drawn(), {"gap"})), "nothing could fail: no run is made"
    assert search.runs == 1
