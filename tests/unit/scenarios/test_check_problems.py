"""What is wrong with checks, assertions and the warm-up is said with its line before anything starts."""

from __future__ import annotations

import pytest
from scenario_text import SMALL, problems, read

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.policies.compile import compile_policy, load_policy, policy_path
from helsewan.scenarios.run.phases import windows
from helsewan.scenarios.spec.checks.assertions import OnFail, Within
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, RelativeLimit, Unit, parse_limit
from helsewan.scenarios.spec.spec import read_scenario
from helsewan.scenarios.spec.timeline.timepoints import EventTime
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.topology.national.generator import national_network

LINE = SMALL.count("\n") + 1


def with_check(entry: str) -> str:
    return f"{SMALL}  it: {{{entry}}}\n"


def with_assertion(entry: str) -> str:
    return f"{SMALL}assert:\n  it: {{{entry}}}\n"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('metric: lost, limit: ">= 0"', "limit: '>= 0' holds for every possible value: the check could never fail"),
        ('metric: loss, limit: "<= 100 %"', "limit: '<= 100 %' holds for every possible value"),
        ('metric: leaked, limit: "< 0"', "limit: '< 0' holds for no value"),
        ('metric: mos, limit: "> 4.5"', "limit: '> 4.5' holds for no value"),
        ('metric: gap, limit: "< 50"', "limit: '< 50' unit is missing"),
        ('metric: gap, phase: dark, than: dark, limit: "< 110 %"', "than: 'dark' compares a phase with itself"),
        ('metric: gap, than: befor, limit: "< 110 %"', "than: 'befor' is no phase (hint: did you mean 'before'?)"),
        ('metric: gap, than: before, limit: "< 5 ms"', "limit: '< 5 ms' '5 ms' is neither a percentage nor a signed"),
        ('metric: time_to_repair, limit: "< 5 s"', "event: is missing: time_to_repair is measured from an event"),
        ('metric: time_to_repair, event: cut, limit: "< 5 s"', "event: 'cut' is no event (hint: one of failure, rep"),
        ('metric: time_to_detect, event: repair, class: voice, limit: "< 5 s"', "class: has no effect: time_to_detect"),
        ('metric: time_to_detect, event: repair, phase: dark, limit: "< 5 s"', "phase: 'dark' has no effect"),
        ('metric: minutes_lost, over: together, limit: "< 1 min"', "over: 'together' has no meaning for minutes_lost"),
        ('metric: minutes_lost, limit: "< 1"', "limit: '< 1' unit is missing"),
        ('metric: gap, event: failure, limit: "< 5 s"', "event: 'failure' has no effect: gap is measured in a phase"),
        ('metric: gap, region: mars, limit: "< 5 s"', "region: 'mars' is not allowed"),
        ('metric: gap, severity: may, limit: "< 5 s"', "severity: 'may' is not allowed"),
    ],
)
def test_checks(entry: str, said: str) -> None:
    (found,) = problems(with_check(entry))
    assert found.startswith(f"small.yaml:{LINE}: checks.it.{said}"), found


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('metric: loss, limit: "< 5 %", window: 1', ".window: 1 unit is missing"),
        ('metric: loss, limit: "< 5 %", in: drak', ".in: 'drak' is no phase (hint: did you mean 'dark'?)"),
        ('metric: loss, limit: "<= 100 %"', ".limit: '<= 100 %' holds for every possible value"),
        ('metric: mos, limit: "> 4"', ".metric: 'mos' is no metric of a sliding window"),
        ('metric: loss, limit: "< 5 %", within: failure', ".within: 'failure' is no time after an event"),
        ('metric: loss, limit: "< 5 %", within: 3 s of cut', ".within: 'cut' is no event"),
        ('metric: loss, limit: "< 5 %", within: 3 s of repair, for: 2 s', ".within: '< 5 % in 1 s, within 3 s of rep"),
        (
            'metric: loss, limit: "< 5 %", in: dark, for: 4 s',
            ".for: '< 5 % in 1 s, eventually, for 4 s, in dark",
        ),
        (
            'metric: loss, limit: "< 5 %", in: before, window: 3 s',
            ".window: '< 5 % in 3 s, always, in before",
        ),
        ('metric: loss, limit: "< 5 %", for: 500 ms', ": holds for less than its window of 1 s"),
        ('metric: loss, limit: "< 5 %", always: true, eventually: true', ": says always and something less"),
        ('metric: loss, limit: "< 5 %", eventually: true, within: 1 s of failure', ": says both eventually and within"),
        ('metric: loss, limit: "< 5 %", always: false', ": claims nothing"),
        ('metric: loss, limit: "< 5 %", on_fail: abort, severity: should', ": is a warning that ends the run"),
        ('metric: failed, traffic: calls, limit: "== 0"', ".metric: 'calls' has no failed"),
    ],
)
def test_assertions(entry: str, said: str) -> None:
    (found,) = problems(with_assertion(entry))
    assert found.startswith(f"small.yaml:{LINE + 1}: assert.it{said}"), found


def test_a_name_is_of_one_check_or_assertion() -> None:
    (found,) = problems(
        with_assertion('metric: loss, limit: "< 5 %"').replace("it: {metric: loss", "gap: {metric: loss")
    )
    assert "assert.gap: 'gap' is the name of a check too" in found


def test_what_a_check_and_an_assertion_say_is_read() -> None:
    spec = read(with_check('metric: gap, than: before, limit: "<= + 5 ms", severity: should')).spec
    assert spec.checks["it"].limit == RelativeLimit("<=", Unit.DURATION, offset=5_000)
    assert str(spec.checks["it"].limit) == "<= + 5 ms"
    spec = read(with_assertion('metric: loss, limit: "< 5 %", within: 1 s of failure, for: 2 s, on_fail: abort')).spec
    assertion = spec.assertions["it"]
    assert (assertion.within, assertion.lasting, assertion.on_fail) == (
        Within(10**6, "failure"),
        2 * 10**6,
        OnFail.ABORT,
    )


@pytest.mark.parametrize(
    ("limit", "metric", "vacuous"),
    [("== 0", "lost", False), ("> 0", "lost", False), (">= 1", "mos", True), ("== 101", "r_factor", True)],
)
def test_limits_that_judge_nothing_are_known(limit: str, metric: str, vacuous: bool) -> None:
    assert bool(parse_limit(limit, METRICS[metric]).vacuity) is vacuous


@pytest.mark.parametrize("comparison", ["<", "<=", "==", ">=", ">"])
def test_no_value_keeps_no_limit_also_relative(comparison: str) -> None:
    assert not RelativeLimit(comparison, Unit.COUNT).against(float("nan")).holds(0.0)
    assert RelativeLimit("<=", Unit.COUNT, factor=1.1).against(10) == Limit("<=", 11.0, Unit.COUNT)


# --- the warm-up ------------------------------------------------------------------------------------


def warmed(warmup: str, text: str = SMALL) -> str:
    return text.replace("duration: 10 s", f"duration: 10 s\nwarmup: {warmup}")


def test_nothing_of_the_warm_up_is_in_a_phase() -> None:
    text = warmed("2 s", SMALL.replace("before: {from: 1 s", "before: {from: start"))
    times = {"failure": EventTime(3_000_000, 3_000_000), "repair": EventTime(6_000_000, 6_000_000)}
    found = {window.name: window.start_us for window in windows(read(text).spec, times)}
    assert (found["run"], found["before"]) == (2_000_000, 2_000_000)


@pytest.mark.parametrize(
    ("warmup", "said"),
    [
        ("10 s", "small.yaml:6: warmup: '10 s' leaves nothing of the run"),
        ("2 s", "small.yaml:15: phases.before.from: '1 s' is within the warm-up (hint: let it begin at 2 s or later"),
        ("2", "small.yaml:6: warmup: 2 unit is missing"),
    ],
)
def test_a_warm_up_that_phases_reach_into_is_refused(warmup: str, said: str) -> None:
    found = problems(warmed(warmup))
    assert any(problem.startswith(said) for problem in found), found


# --- what depends on the network and the policy -------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('metric: gap, site: hospital-nowhere, limit: "< 1 s"', "site: 'hospital-nowhere' selects no flow"),
        (
            'metric: gap, service: vioce, limit: "< 1 s"',
            "service: 'vioce' selects no flow of the scenario: it could",
        ),
        ('metric: gap, flow: "call/*", limit: "< 1 s"', "flow: 'call/*' selects no flow"),
        ('metric: failed, service: voice, limit: "== 0"', "service: 'voice' selects no exchange"),
    ],
)
def test_a_check_that_selects_nothing_is_refused(entry: str, said: str) -> None:
    scenario = read_scenario(loads(with_check(entry).encode(), "small.yaml"))
    plan = compile_policy(load_policy(policy_path("national")), national_network(120, 1))
    with pytest.raises(InputError) as caught:
        plan_traffic(scenario.spec, plan, scenario.document)
    assert str(caught.value).startswith(f"small.yaml:{LINE}: checks.it.{said}"), caught.value
