"""A check that fails near a stall of the machine is suspect, says so, and names the stall."""

from __future__ import annotations

from dataclasses import asdict, replace
from io import StringIO

import pytest
from rich.console import Console
from scenario_case import arrived_of, default_case, flow_between

from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.lab.health.health import Pressure, SchedulingDelay, Second
from helsewan.lab.health.stalls import AROUND_S, NEAR, STALLS, with_failed_checks
from helsewan.lab.health.validity import BUSY, LINK_MAX, MS, WAIT, Grade, Validity, ValidityFinding, assess, of_second
from helsewan.scenarios.results.checks import CheckResult, Evidence, judge, near_stalls
from helsewan.scenarios.results.exchange_figures import ExchangeMeasurement
from helsewan.scenarios.results.measure import Figures, Measurement, Window
from helsewan.scenarios.results.verdict import print_verdict
from helsewan.scenarios.spec.checks.assertions import AssertSpec
from helsewan.scenarios.spec.checks.schema import CheckSpec
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.targets import Fate

NOTHING = Figures(sent=50, received=50, leaked=0, misdelivered=0, mismarked=0, lost=0, duplicates=0, reordered=0)
FLOW = replace(flow_between("a", "b", name="calls/001 a > b"), id=0)


def check(metric: str, limit: str, **options: object) -> CheckSpec:
    return CheckSpec.model_validate({"metric": metric, "limit": limit, **options})


GAP = check("gap", "< 50 ms", phase="during")
WINDOWS = [Window("run", 0, 32_000_000), Window("during", 10_000_000, 14_000_000)]


def second(number: int, wait_us: float) -> list[ValidityFinding]:
    """What a second shows in which the router bodo waited for a core."""
    delay = SchedulingDelay(0.0, wait_us)
    return list(of_second(Second(number, Pressure(0.5, 0.1, 0.0), threads={"bodo": delay})))


def outcome(figures: Figures, stalls: list[ValidityFinding], spec: CheckSpec = GAP) -> tuple[CheckResult, Validity]:
    scenario: ScenarioSpec = default_case()[0].spec.model_copy(update={"checks": {"it": spec}})
    phases = {(FLOW.id, phase): figures for phase in ("run", "during")}
    flows = Measurement(phases, 0, dict.fromkeys(phases, ()))  # type: ignore[arg-type]
    fates = {(FLOW.client, FLOW.server): Fate.SURVIVING}
    found = Evidence(TrafficPlan((FLOW,), ()), fates, flows, ExchangeMeasurement({}, {}), arrived_of([FLOW], []))
    results, failed = near_stalls(scenario, judge(scenario, found), WINDOWS, stalls)
    return results[0], with_failed_checks(assess(stalls), failed)


def test_an_assertion_near_a_stall_is_suspect_too() -> None:
    asserted = AssertSpec.model_validate({"metric": "loss", "limit": "< 5 %", "in": "during"})
    scenario: ScenarioSpec = default_case()[0].spec.model_copy(update={"checks": {}, "assertions": {"it": asserted}})
    broken = CheckResult("it", "loss", False, 0.1, str(asserted), "share", "first at 11 s")
    (result,), failed = near_stalls(scenario, [broken], WINDOWS, second(12, 17_400))
    assert "; suspect: bodo" in result.detail and [name for name, _ in failed] == ["it"]


def test_a_failure_near_a_stall_is_suspect_and_names_it() -> None:
    """61 ms where 50 are allowed, with a stall of 0.87 of its bound."""
    result, validity = outcome(replace(NOTHING, gap_us=61_000.0), second(12, 17_400))
    assert result.passed is False
    assert result.detail.endswith(
        "; suspect: bodo: waited for a core within a twentieth of a second 17.4 ms in second 12, bound 20"
    )
    assert validity.grade is Grade.SUSPECT
    (reason,) = validity.reasons
    assert (reason.grade, reason.where, reason.seconds) == (Grade.SUSPECT, "bodo", (12,))
    assert (reason.value, reason.limit, reason.unit) == (17.4, 20.0, MS)
    assert str(reason) == (
        "bodo: check it failed near a stall: waited for a core within a twentieth of a second: 17.4 ms, allowed 20 "
        "(second 12)"
    )


@pytest.mark.parametrize("number", [10 - AROUND_S, 10, 13, 13 + AROUND_S])
def test_the_seconds_of_the_phase_and_just_around_count(number: int) -> None:
    assert outcome(replace(NOTHING, gap_us=61_000.0), second(number, 12_000))[1].grade is Grade.SUSPECT


@pytest.mark.parametrize(
    ("gap_us", "stalls"),
    [
        (61_000.0, second(12, 20_000 * NEAR - 100)),  # what any machine shows
        (61_000.0, second(10 - AROUND_S - 1, 19_000)),  # before the phase
        (61_000.0, second(14 + AROUND_S, 19_000)),  # after it
        (49_000.0, second(12, 19_000)),  # the check passed
        (61_000.0, []),
    ],
)
def test_a_failure_elsewhere_or_none_is_valid(gap_us: float, stalls: list[ValidityFinding]) -> None:
    result, validity = outcome(replace(NOTHING, gap_us=gap_us), stalls)
    assert validity.grade is Grade.VALID and not validity.reasons and "suspect" not in result.detail


def test_a_failure_that_no_slow_machine_can_cause_stands() -> None:
    result, validity = outcome(
        replace(NOTHING, misdelivered=1), second(12, 19_000), check("misdelivered", "== 0", phase="during")
    )
    assert result.passed is False and result.conclusive and validity.grade is Grade.VALID


def test_the_stall_that_is_worst_by_its_bound_is_named() -> None:
    delays = {"oslo-1": SchedulingDelay(0.0, 12_000), "oslo-2": SchedulingDelay(0.0, 15_000)}
    stalls = list(of_second(Second(12, Pressure(0.5, 0.1, 0.0), threads=delays, late_links={"a > b": 13_000.0})))
    assert "suspect: oslo-2: waited" in outcome(replace(NOTHING, gap_us=61_000.0), stalls)[0].detail


def test_a_run_that_is_void_stays_void() -> None:
    _, validity = outcome(replace(NOTHING, gap_us=61_000.0), second(12, 90_000))
    assert validity.grade is Grade.VOID and [reason.grade for reason in validity.reasons] == [Grade.VOID, Grade.SUSPECT]


def test_stalls_are_times_and_shares_within_a_second() -> None:
    assert {WAIT, LINK_MAX} <= STALLS and BUSY not in STALLS


def test_the_verdict_on_the_screen_says_suspect() -> None:
    result, validity = outcome(replace(NOTHING, gap_us=61_000.0), second(12, 17_400))
    reasons = [asdict(reason) | {"grade": reason.grade.value} for reason in validity.reasons]
    screen = Console(file=StringIO(), width=200)
    graded = {"grade": validity.grade.value, "reasons": reasons, "not_listed": []}
    shown = {"checks": [asdict(result)], "classes": {}, "validity": graded, "verdict": "fail"}
    print_verdict(shown | {"scenario": "it", "seed": 1}, screen)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "fail (suspect)" in text and "suspect: bodo: check it failed near a stall" in text
    assert "FAIL  it: 61 ms" in text and "17.4 ms in second 12" in text
