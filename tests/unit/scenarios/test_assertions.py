"""Assertions: limits over a sliding window: always, within a time of an event, for some time, eventually."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_case import FLOW, arrival, arrived_of

from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.scenarios.results.assertions import (
    Outcome,
    Windows,
    as_check,
    evaluate,
    exchange_windows,
    flow_windows,
    grid,
)
from helsewan.scenarios.spec.checks.assertions import AssertSpec
from helsewan.scenarios.spec.timeline.timepoints import EventTime

FAILURE = {"failure": EventTime(3_000_000, 3_010_000)}
SECOND = 1_000_000


def asserted(metric: str = "loss", limit: str = "< 5 %", **options: object) -> AssertSpec:
    return AssertSpec.model_validate({"metric": metric, "limit": limit, **options})


def call(seconds: int, lost: Callable[[int], bool]) -> tuple[FlowSpec, Windows]:
    """The loss in windows of 1 s of a call in which those datagrams are lost whose due time (ms) ``lost`` names."""
    flow = replace(FLOW, stop_us=seconds * SECOND)
    came = [arrival(flow, seq, 5_000) for seq in range(seconds * 50) if not lost(seq * 20)]
    spec = asserted()
    return flow, flow_windows(spec, arrived_of([flow], came), [flow], grid(spec, 0, seconds * SECOND))


def outcome(spec: AssertSpec, windows: Windows, *, complete: bool = True) -> Outcome:
    return evaluate(spec, windows, FAILURE, complete=complete).outcome


def test_a_window_slides_in_tenths_of_its_length() -> None:
    _, windows = call(3, lambda ms: ms >= 1_500)
    assert windows.begins_us.tolist() == [tenth * 100_000 for tenth in range(21)]
    assert windows.values[0, 0] == 0
    assert windows.values[0, 10] == pytest.approx(0.5)
    assert windows.values[0, 20] == 1


def test_always_is_broken_by_one_window() -> None:
    spec = asserted(always=True)
    assert outcome(spec, call(8, lambda ms: False)[1]) is Outcome.HOLDS
    _, windows = call(8, lambda ms: 4_000 <= ms < 4_200)
    found = evaluate(spec, windows, FAILURE, complete=True)
    assert found.outcome is Outcome.BROKEN
    assert found.detail == "first at 3.1 s, in 11 of 71 windows"
    result = as_check("it", spec, windows, found)
    assert (result.passed, result.limit, result.unit) == (False, "< 5 % in 1 s, always", "share")


@pytest.mark.parametrize(
    ("until_ms", "options", "expected"),
    [
        (5_000, {"within": "3 s of failure"}, Outcome.HOLDS),
        (6_500, {"within": "3 s of failure"}, Outcome.BROKEN),
        (5_000, {"within": "3 s of failure", "for": "2 s"}, Outcome.HOLDS),
        (5_000, {"within": "3 s of failure", "for": "5 s"}, Outcome.BROKEN),  # the run ends before
        (5_000, {"for": "3 s"}, Outcome.HOLDS),
        (5_000, {"for": "4 s"}, Outcome.BROKEN),
        (7_500, {"eventually": True}, Outcome.HOLDS),  # before the failure
    ],
)
def test_a_limit_that_holds_again_after_a_failure(until_ms: int, options: dict[str, object], expected: Outcome) -> None:
    _, windows = call(8, lambda ms: 3_000 <= ms < until_ms)
    assert outcome(asserted(**options), windows) is expected


def test_it_says_when_it_held() -> None:
    _, windows = call(8, lambda ms: 3_000 <= ms < 5_000)
    found = evaluate(asserted(within="3 s of failure"), windows, FAILURE, complete=True)
    assert found.detail == "held from 5 s on, 2 s after failure"
    found = evaluate(asserted(within="3 s of repair"), windows, FAILURE, complete=True)
    assert (found.outcome, found.detail) == (Outcome.BROKEN, "repair never took place")


CLAIMS: list[dict[str, object]] = [{}, {"within": "3 s of failure"}, {"for": "2 s"}]


@given(st.lists(st.booleans(), min_size=11, max_size=80), st.sampled_from(CLAIMS))
def test_what_is_decided_during_the_run_is_decided_so_after_it(kept: list[bool], options: dict[str, object]) -> None:
    """An outcome that the windows so far decide is that of all windows."""
    spec = asserted(**options)
    values = np.array([[0.0 if each else 1.0 for each in kept]])
    begins = np.arange(len(kept)) * 100_000

    def after(count: int, complete: bool) -> Outcome:
        part = Windows(begins[:count], values[:, :count], np.zeros((1, count), bool))
        return outcome(spec, part, complete=complete)

    final = after(len(kept), True)
    for count in range(len(kept) + 1):
        early = after(count, False)
        assert early in (Outcome.OPEN, final)


def test_windows_without_traffic_break_nothing() -> None:
    """A flow that sends now and then has windows in which nothing is due."""
    spec = asserted("delay_p50", "< 50 ms")
    flow = replace(FLOW, interval_ns=3_000_000_000, stop_us=9 * SECOND)
    came = [arrival(flow, seq, 5_000) for seq in range(3)]
    windows = flow_windows(spec, arrived_of([flow], came), [flow], grid(spec, 0, 9 * SECOND))
    assert outcome(spec, windows) is Outcome.HOLDS
    lossy = flow_windows(spec, arrived_of([flow], came[:2]), [flow], grid(spec, 0, 9 * SECOND))
    result = as_check("it", spec, lossy, evaluate(spec, lossy, FAILURE, complete=True))
    assert result.passed is False and isnan(result.value), "all lost: no delay keeps no limit"


def test_flows_are_judged_each_or_together() -> None:
    good, bad = replace(FLOW, stop_us=2 * SECOND), replace(FLOW, id=1, stop_us=2 * SECOND)
    came = [arrival(good, seq, 5_000) for seq in range(100)]
    came += [arrival(bad, seq, 5_000) for seq in range(100) if seq % 10]
    arrived, edges = arrived_of([good, bad], came), grid(asserted(), 0, 2 * SECOND)
    for over, expected in (("each", Outcome.BROKEN), ("together", Outcome.HOLDS)):
        spec = asserted(limit="< 6 %", over=over)
        assert outcome(spec, flow_windows(spec, arrived, [good, bad], edges)) is expected


def test_requests_have_windows_too() -> None:
    done = [Exchange(0, tenth * 1e5, tenth * 1e5 + 40_000, tenth != 35, 10) for tenth in range(80)]
    spec = asserted("failed", "== 0")
    windows = exchange_windows(spec, done, [0], grid(spec, 0, 8 * SECOND))
    found = evaluate(spec, windows, FAILURE, complete=True)
    assert (found.outcome, found.detail) == (Outcome.BROKEN, "first at 2.6 s, in 10 of 71 windows")
    spec = asserted("response_p99", "< 50 ms")
    windows = exchange_windows(spec, done, [0], grid(spec, 0, 8 * SECOND))
    assert outcome(spec, windows) is Outcome.HOLDS
