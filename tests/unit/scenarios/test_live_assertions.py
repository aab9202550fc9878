"""Assertions that end the run: judged while it goes on as they are judged after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_case import EPOCH_NS, FLOW, arrival, arrived_of
from scenario_text import SMALL, read

from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.applications import Span, Transaction
from helsewan.lab.flows.flowspec import ExchangeSpec, TrafficPlan
from helsewan.lab.flows.records import RECORD, Array
from helsewan.scenarios.events.live_assertions import IN_FLIGHT_US, AssertionBroken, LiveAssertions
from helsewan.scenarios.results.assertions import Outcome, after_abort, evaluate, flow_windows, grid
from helsewan.scenarios.results.checks import CheckResult
from helsewan.scenarios.run.phases import windows
from helsewan.scenarios.run.scene import Scene
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.targets import Fate
from helsewan.scenarios.spec.timeline.timepoints import EventTime

FLOWS = (replace(FLOW, stop_us=10_000_000), replace(FLOW, id=1, name="other", stop_us=10_000_000, class_name="data"))
SCENE = Scene(TrafficPlan(FLOWS, ()), {("a", "b"): Fate.SURVIVING}, {})
TIMES = {"failure": EventTime(3_000_000, 3_010_000)}


@dataclass
class Source:
    """The flow engine's records, as far as they have arrived by ``now_us``."""

    all: Array
    now_us: int = 0

    @property
    def records(self) -> Array:
        return self.all[: np.searchsorted(self.all["rx_ns"], EPOCH_NS + self.now_us * 1000)]

    @property
    def due(self) -> Array:
        return np.array([flow.due_before(self.now_us) for flow in FLOWS])


def spec_with(assertion: str) -> ScenarioSpec:
    return read(f"{SMALL}assert:\n  it: {{{assertion}, on_fail: abort}}\n").spec


def records(lost_ms: list[range]) -> Array:
    """Both flows' datagrams but those of the first that were due (ms) in ``lost_ms``."""
    came = [
        arrival(flow, seq, 5_000 + flow.id)
        for flow in FLOWS
        for seq in range(500)
        if flow.id or not any(seq * 20 in lost for lost in lost_ms)
    ]
    joined = np.concatenate(came)
    return joined[np.argsort(joined["rx_ns"])]


def followed(spec: ScenarioSpec, source: Source, step_us: int = 250_000) -> AssertionBroken | None:
    """What ends a run of 10 s that is looked at in steps."""
    live = LiveAssertions(spec, SCENE, source, list, EPOCH_NS)
    for now_us in range(0, 10_500_001, step_us):
        source.now_us = now_us
        try:
            live.check(now_us, TIMES if now_us >= 3_010_000 else {})
        except AssertionBroken as broken:
            return broken
    return None


def test_a_run_ends_soon_after_its_assertion_is_broken() -> None:
    broken = followed(spec_with('metric: loss, limit: "< 5 %", class: voice'), Source(records([range(4_000, 4_400)])))
    assert broken is not None
    first_us = 4_060_000  # from then on the window that begins a second before has more than 5 % lost
    assert first_us + IN_FLIGHT_US <= broken.at_us <= first_us + IN_FLIGHT_US + 350_000
    assert str(broken).startswith("it is broken (first at 3.1 s, in ")


def test_only_the_flows_that_it_selects_count() -> None:
    lossy = Source(records([range(4_000, 4_400)]))
    assert followed(spec_with('metric: loss, limit: "< 5 %", class: data'), lossy) is None


@pytest.mark.parametrize(
    ("until_ms", "claim", "ends_us"),
    [
        (5_000, "within: 2500 ms of failure", None),
        (9_000, "within: 2500 ms of failure", 7_250_000),  # the last window that could hold begins at 5.5 s
        (9_000, "eventually: true", None),
        (5_000, "in: dark", 5_250_000),  # the phase begins at 3.51 s
        (3_500, "in: dark", None),
    ],
)
def test_claims_are_decided_as_soon_as_they_can_be(until_ms: int, claim: str, ends_us: int | None) -> None:
    source = Source(records([range(3_000, until_ms)]))
    broken = followed(spec_with(f'metric: loss, limit: "< 5 %", class: voice, {claim}'), source)
    assert (broken and broken.at_us) == ends_us


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 450), st.integers(1, 60)), max_size=3),
    st.sampled_from(["always: true", "within: 2 s of failure", "within: 1 s of failure, for: 2 s"]),
    st.sampled_from(["loss", "delay_p50"]),
)
def test_what_ends_a_run_is_broken_after_it_too(losses: list[tuple[int, int]], claim: str, metric: str) -> None:
    limit = "< 5 %" if metric == "loss" else "< 50 ms"
    spec = spec_with(f'metric: {metric}, limit: "{limit}", class: voice, {claim}')
    came = records([range(begin * 20, (begin + count) * 20) for begin, count in losses])
    assertion = spec.assertions["it"]
    edges = grid(assertion, 0, 10_000_000)
    after = flow_windows(assertion, arrived_of(FLOWS, [came]), [FLOWS[0]], edges)
    outcome = evaluate(assertion, after, TIMES, complete=True).outcome
    broken = followed(spec, Source(came), 130_000)
    if broken is not None:
        assert outcome is Outcome.BROKEN
    elif "always" in claim:
        assert outcome is Outcome.HOLDS


def test_nothing_is_kept_where_nothing_can_end_the_run() -> None:
    live = LiveAssertions(read().spec, SCENE, Source(records([])), list, EPOCH_NS)
    live.check(5_000_000, {})
    assert live._recent.dtype == RECORD and not len(live._recent)


def test_requests_end_a_run_once_their_deadline_has_passed() -> None:
    request = ExchangeSpec(
        id=0, name="records/001", class_name="data", service="ehr", client="a", server="b",
        client_address=FLOW.source.address, server_address=FLOW.destination.address, port=80, dscp=0,
        application=Transaction(Span(100, 100), Span(200, 200)), begins_us=(0,), seed="1", deadline_us=1_000_000,
        start_us=0, stop_us=10_000_000, groups=("records",),
    )  # fmt: skip
    done = [Exchange(0, tenth * 1e5, tenth * 1e5 + 4e4, tenth != 35, 1) for tenth in range(100)]
    scene = replace(SCENE, traffic=TrafficPlan((), (request,)))
    spec = spec_with('metric: failed, traffic: records, limit: "== 0"')
    live = LiveAssertions(spec, scene, Source(np.zeros(0, RECORD)), lambda: done, EPOCH_NS)
    live.check(4_900_000, {})
    with pytest.raises(AssertionBroken, match="it is broken"):
        live.check(5_300_000, {})


# --- after the run -------------------------------------------------------------------------------------------


def test_an_aborted_run_has_the_phases_until_then() -> None:
    found = {window.name: (window.start_us, window.end_us) for window in windows(read().spec, TIMES, 5_000_000)}
    assert found == {"run": (0, 5_000_000), "before": (1_000_000, 2_950_000)}
    times = {**TIMES, "repair": EventTime(6_000_000, 6_000_000)}
    assert {window.name for window in windows(read().spec, times, 6_500_000)} == {"run", "before", "dark", "after"}


def outcome_of(name: str, passed: bool | None, *, conclusive: bool = False) -> CheckResult:
    return CheckResult(name, "loss", passed, 0.1, "< 5 %", "share", "as it was", conclusive)


def test_checks_of_phases_that_did_not_take_place_are_left_out() -> None:
    spec = spec_with('metric: loss, limit: "< 5 %", class: voice')
    spec = spec.model_copy(
        update={"checks": {**spec.checks, "early": spec.checks["gap"].model_copy(update={"phase": "before"})}}
    )
    outcomes = [
        outcome_of("gap", False), outcome_of("answered", True), outcome_of("leaks", False, conclusive=True),
        outcome_of("early", False), outcome_of("it", True),
    ]  # fmt: skip
    found = {each.name: each for each in after_abort(spec, outcomes, "it", "it is broken", {"before"})}
    assert {name: each.passed for name, each in found.items()} == {
        "gap": None, "answered": None, "leaks": False, "early": False, "it": False,
    }  # fmt: skip
    assert found["it"].detail == "it is broken"
    assert found["gap"].detail == "not judged: the run was ended before its phase"
