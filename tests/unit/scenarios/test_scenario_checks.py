"""Verdicts: figures against limits, what a check looks at, and when a run counts for nothing."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

import pytest
from scenario_case import arrived_of, default_case, flow_between, measured_as

from helsewan.lab.flows.flowspec import Expect, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.health.validity import Grade
from helsewan.scenarios.results.checks import CheckResult, Evidence, RunVerdict, judge, verdict
from helsewan.scenarios.results.exchange_figures import ExchangeMeasurement
from helsewan.scenarios.results.measure import Figures
from helsewan.scenarios.spec.checks.metrics import METRICS, parse_limit
from helsewan.scenarios.spec.checks.schema import CheckSpec, Over, Scope, Severity
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.targets import Fate
from helsewan.scenarios.spec.timeline.timepoints import RUN, EventTime
from helsewan.topology.model import Region

NOTHING = Figures(sent=50, received=50, leaked=0, misdelivered=0, mismarked=0, lost=0, duplicates=0, reordered=0)


def evidence(*parts: tuple[FlowSpec, Figures, Fate]) -> Evidence:
    """What a run of these flows with these figures leaves, in the whole run and in phase ``during``."""
    flows = tuple(replace(flow, id=id_) for id_, (flow, _, _) in enumerate(parts))
    figures = {(id_, phase): part[1] for id_, part in enumerate(parts) for phase in (RUN, "during")}
    fates = {(flow.client, flow.server): fate for flow, _, fate in parts}
    measured = measured_as(figures), ExchangeMeasurement({}, {})
    regions = {"a": Region.MIDT, "b": Region.NORD, "c": Region.SOR}
    return Evidence(TrafficPlan(flows, ()), fates, *measured, arrived_of(flows, []), regions=regions)


def check(metric: str, limit: str, **options: object) -> CheckSpec:
    aliased = {"class" if key == "cls" else key: value for key, value in options.items()}
    return CheckSpec.model_validate({"metric": metric, "limit": limit, **aliased})


def judged(found: Evidence, spec: CheckSpec) -> CheckResult:
    scenario: ScenarioSpec = default_case()[0].spec.model_copy(update={"checks": {"it": spec}})
    return judge(scenario, found)[0]


SURVIVOR = flow_between("a", "b", name="calls/001 a > b")
OTHER = flow_between("a", "c", name="calls/002 a > c")
CUT = flow_between("a", "d", name="calls/003 a > d")
PROBE = replace(flow_between("x", "y", name="isolation/001 x > y"), kind=FlowKind.PROBE, expect=Expect.DENIED)
CONTROL = replace(SURVIVOR, kind=FlowKind.CONTROL, groups=("isolation", "isolation.controls"))


def test_each_flow_must_keep_the_limit_and_the_worst_is_named() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, gap_us=30_000.0), Fate.SURVIVING),
        (OTHER, replace(NOTHING, gap_us=80_000.0), Fate.SURVIVING),
    )
    result = judged(found, check("gap", "< 50 ms", cls="voice"))
    assert (result.passed, result.value, result.limit, result.unit) == (False, 80_000, "< 50 ms", "us")
    assert result.detail == "1 of 2 outside the limit, worst calls/002 a > c"
    assert judged(found, check("gap", "< 100 ms", cls="voice")).passed


@pytest.mark.parametrize(("limit", "worst"), [(">= 4.3", 4.1), ("<= 4.3", 4.4), ("== 4.3", 4.1)])
def test_which_value_is_worst_depends_on_the_limit(limit: str, worst: float) -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, mos=4.1), Fate.SURVIVING), (OTHER, replace(NOTHING, mos=4.4), Fate.SURVIVING)
    )
    assert judged(found, check("mos", limit)).value == worst


def test_scope_picks_flows_by_their_fate() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, gap_us=20_000.0), Fate.SURVIVING),
        (CUT, replace(NOTHING, gap_us=10e6), Fate.CUT),
    )
    assert judged(found, check("gap", "< 50 ms", scope="surviving", phase="during")).passed
    assert not judged(found, check("gap", "< 50 ms", phase="during")).passed
    assert judged(found, check("gap", "> 1 s", scope="cut", phase="during")).passed


def test_together_pools_the_flows() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, sent=900, lost=0, loss=0.0), Fate.SURVIVING),
        (OTHER, replace(NOTHING, sent=100, lost=5, loss=0.05), Fate.SURVIVING),
    )
    result = judged(found, check("loss", "< 1 %", over=Over.TOGETHER.value))
    assert (result.passed, result.value, result.detail) == (True, 0.005, "2 together")
    assert not judged(found, check("loss", "< 1 %")).passed


def test_leaks_are_looked_for_in_denied_flows_and_nothing_else_is() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, loss=0.0), Fate.SURVIVING),
        (PROBE, replace(NOTHING, leaked=1, loss=1.0), Fate.SURVIVING),
    )
    leak = judged(found, check("leaked", "== 0"))
    assert (leak.passed, leak.value, leak.conclusive) == (False, 1, True)
    assert judged(found, check("loss", "== 0 %")).passed


def test_controls_are_judged_only_where_they_are_named() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, gap_us=20_000.0), Fate.SURVIVING),
        (CONTROL, replace(NOTHING, gap_us=1e6, received=0), Fate.SURVIVING),
    )
    assert judged(found, check("gap", "< 50 ms", cls="voice")).passed
    assert not judged(found, check("received", ">= 1", traffic="isolation.controls")).passed


def test_a_check_that_nothing_comes_under_cannot_pass() -> None:
    found = evidence((SURVIVOR, NOTHING, Fate.SURVIVING))
    result = judged(found, check("gap", "< 1 s", scope="cut"))
    assert result.passed is False and isnan(result.value)
    assert judged(found, check("gap", "< 1 s", scope="cut", optional=True)).passed is None
    assert judged(found, check("gap", "< 1 s", phase="dark")).passed is False, "a phase that never took place"


def test_a_flow_without_a_figure_breaks_any_limit_on_it() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, delay_p99_us=nan), Fate.SURVIVING),
        (OTHER, replace(NOTHING, delay_p99_us=9_000.0), Fate.SURVIVING),
    )
    result = judged(found, check("delay_p99", "< 50 ms"))
    assert not result.passed and isnan(result.value)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"site": "c"}, 80_000.0),
        ({"site": "b"}, 30_000.0),
        ({"region": "nord"}, 30_000.0),
        ({"region": "midt"}, 80_000.0),
        ({"flow": "calls/001*"}, 30_000.0),
        ({"service": "voice", "flow": "calls/002 a > c"}, 80_000.0),
    ],
)
def test_flows_are_selected_by_what_they_are(selection: dict[str, str], expected: float) -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, gap_us=30_000.0), Fate.SURVIVING),
        (OTHER, replace(NOTHING, gap_us=80_000.0), Fate.SURVIVING),
    )
    assert judged(found, check("gap", "< 1 s", **selection)).value == expected
    assert judged(found, check("gap", "< 1 s", service="video")).passed is False


def compared(before: float, during: float, limit: str) -> CheckResult:
    """A comparison of the phase ``during`` with the whole run."""
    found = evidence((SURVIVOR, replace(NOTHING, delay_p50_us=during), Fate.SURVIVING))
    figures = {**found.flows.figures, (0, RUN): replace(NOTHING, delay_p50_us=before)}
    found = replace(found, flows=replace(found.flows, figures=figures))
    return judged(found, check("delay_p50", limit, phase="during", than=RUN))


@pytest.mark.parametrize(
    ("before", "during", "limit", "passed"),
    [
        (10_000.0, 11_000.0, "<= 110 %", True),
        (10_000.0, 11_001.0, "<= 110 %", False),
        (10_000.0, 15_000.0, "<= + 5 ms", True),
        (10_000.0, 15_001.0, "<= + 5 ms", False),
        (10_000.0, 4_000.0, ">= - 5 ms", False),
        (nan, 4_000.0, "<= 110 %", False),
    ],
)
def test_phases_are_compared(before: float, during: float, limit: str, passed: bool) -> None:
    assert compared(before, during, limit).passed is passed


def test_a_comparison_says_what_it_compared_with() -> None:
    result = compared(10_000.0, 12_000.0, "<= 110 %")
    assert result.limit == "<= 110 % of run"
    assert result.detail == "1 of 1 outside the limit, worst calls/001 a > b; <= 11 ms by run"


def test_minutes_lost_are_of_each_site_by_the_flows_that_are_selected() -> None:
    found = evidence(
        (SURVIVOR, replace(NOTHING, sent=50, unavailable_us=6e6), Fate.SURVIVING),
        (OTHER, replace(NOTHING, sent=50, unavailable_us=0.0), Fate.SURVIVING),
    )
    lost = {"a": 0.05, "b": 0.1, "c": 0.0}  # of a's flows half is unavailable

    class Pooled:
        """A measurement that pools the unavailable time of flows as their mean."""

        figures = found.flows.figures

        def pool(self, ids: list[int], phase: str) -> Figures:
            return replace(NOTHING, unavailable_us=sum(self.figures[i, phase].unavailable_us for i in ids) / len(ids))

    found = replace(found, flows=Pooled())  # type: ignore[arg-type]
    result = judged(found, check("minutes_lost", "<= 0.05 min", phase="during"))
    assert (result.passed, result.value, result.unit) == (False, lost["b"], "min")
    assert result.detail == "1 of 3 outside the limit, worst b"
    assert judged(found, check("minutes_lost", "<= 0.05 min", site="c")).value == lost["c"]
    assert judged(found, check("minutes_lost", "<= 0.05 min", region="midt")).value == lost["a"]


def test_what_follows_an_event_is_judged_from_it() -> None:
    times = {"failure": EventTime(3_000_000, 3_010_000)}
    found = replace(
        evidence((SURVIVOR, NOTHING, Fate.SURVIVING)),
        event_times=times,
        event_delays_us={("time_to_detect", "failure"): 4e4},
    )
    assert judged(found, check("time_to_detect", "< 50 ms", event="failure")).passed
    assert judged(found, check("time_to_reoptimise", "< 50 ms", event="failure")).passed is False, "it never was"
    cut_off = judged(found, check("time_to_repair", "< 50 ms", event="failure"))
    assert cut_off.passed is True and cut_off.value == 0, "the flow ended before the event"
    never = judged(found, check("time_to_repair", "< 50 ms", event="repair"))
    assert never.passed is False and isnan(never.value)


# --- the verdict ---------------------------------------------------------------------------------


def outcome(passed: bool | None, metric: str = "gap", severity: Severity = Severity.MUST) -> CheckResult:
    return CheckResult("it", metric, passed, 0.0, "", "", "", METRICS[metric].conclusive, severity)


@pytest.mark.parametrize(
    ("results", "grade", "expected", "code"),
    [
        ([outcome(True), outcome(None)], Grade.VALID, RunVerdict.PASS, 0),
        ([outcome(True), outcome(False)], Grade.VALID, RunVerdict.FAIL, 1),
        ([outcome(True)], Grade.SUSPECT, RunVerdict.PASS, 0),
        ([outcome(False)], Grade.SUSPECT, RunVerdict.FAIL, 1),
        ([outcome(True)], Grade.VOID, RunVerdict.VOID, 3),
        ([outcome(False)], Grade.VOID, RunVerdict.VOID, 3),
        ([outcome(True), outcome(False, severity=Severity.SHOULD)], Grade.VALID, RunVerdict.PASS, 0),
        ([outcome(False, "leaked")], Grade.VOID, RunVerdict.FAIL, 1),  # no slow machine makes a leak
    ],
)
def test_verdicts(results: list[CheckResult], grade: Grade, expected: RunVerdict, code: int) -> None:
    assert verdict(results, grade) is expected
    assert expected.exit_code == code


def test_every_metric_of_flows_and_exchanges_is_a_figure() -> None:
    from helsewan.scenarios.results.exchange_figures import ExchangeFigures
    from helsewan.scenarios.results.replay_figures import ReplayFigures

    figures = {"flow": Figures.__dataclass_fields__, "exchange": ExchangeFigures.__dataclass_fields__}
    figures["replay"] = ReplayFigures.__dataclass_fields__
    for metric in METRICS.values():
        if metric.source.value in figures:
            assert metric.field in figures[metric.source.value], metric.name


def test_scopes_are_fates() -> None:
    assert {scope.value for scope in Scope} - {"all"} == {fate.value for fate in Fate}
    assert parse_limit("== 0", METRICS["leaked"]).holds(0)
