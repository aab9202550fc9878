"""Checks against another run: no worse than it by more than a limit, and not by chance."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scenario_case import arrived_of, default_case, flow_between, measured_as
from scenario_text import SMALL, problems

from helsewan.common.errors import InputError
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.scenarios.results.checks import CheckResult, Evidence, judge
from helsewan.scenarios.results.exchange_figures import ExchangeMeasurement
from helsewan.scenarios.results.files.figures_file import FIGURES
from helsewan.scenarios.results.measure import Figures
from helsewan.scenarios.results.other_run import read_flow_figures
from helsewan.scenarios.spec.checks.schema import CheckSpec
from helsewan.scenarios.spec.timeline.targets import Fate
from helsewan.scenarios.spec.timeline.timepoints import RUN

NOTHING = Figures(sent=50, received=50, leaked=0, misdelivered=0, mismarked=0, lost=0, duplicates=0, reordered=0)
FLOWS = tuple(flow_between("a", "b", id=n, name=f"calls/{n:03d} a > b") for n in range(12))


def judged(delays_us: list[float], others_us: list[float], limit: str = "<= 110 %") -> CheckResult:
    """The check of 12 flows' delays against those of another run; NaN there: it did not have the flow."""
    figures = {(n, RUN): replace(NOTHING, delay_p50_us=us) for n, us in enumerate(delays_us)}
    flows = FLOWS[: len(delays_us)]
    others = {flow.name: us for flow, us in zip(flows, others_us, strict=True) if us == us}
    check = CheckSpec.model_validate({"metric": "delay_p50", "than": {"run": "old"}, "limit": limit})
    evidence = Evidence(
        TrafficPlan(flows, ()), {("a", "b"): Fate.SURVIVING}, measured_as(figures), ExchangeMeasurement({}, {}),
        arrived_of(flows, []), other_runs={"old": {("voice", RUN, "delay_p50_us"): others}},
    )  # fmt: skip
    scenario = default_case()[0].spec.model_copy(update={"checks": {"it": check}})
    return judge(scenario, evidence)[0]


BEFORE = [10_000.0 + 300 * n for n in range(12)]


@pytest.mark.parametrize(
    ("factor", "offset", "limit", "passed"),
    [
        (1.0, 0, "<= 110 %", True),
        (1.2, 0, "<= 110 %", False),
        (1.05, 0, "<= 110 %", True),
        (1.0, 4_000, "<= + 5 ms", True),
        (1.0, 6_000, "<= + 5 ms", False),
        (0.5, 0, "<= 100 %", True),
    ],
)
def test_a_run_is_no_worse_than_another_by_more_than_the_limit(
    factor: float, offset: float, limit: str, passed: bool
) -> None:
    result = judged([us * factor + offset for us in BEFORE], BEFORE, limit)
    assert result.passed is passed, result.detail
    assert result.limit == f"{limit} of run old"
    assert "12 flows, p " in result.detail and "median 11.65 ms there" in result.detail


def test_one_flow_that_is_worse_is_not_the_run() -> None:
    """By chance a flow may be late; the test asks for the flows as a whole."""
    assert judged([*BEFORE[:-1], 90_000.0], BEFORE).passed


def test_too_few_flows_are_told_and_their_medians_decide() -> None:
    result = judged([12_000.0, 12_500.0], [10_000.0, 10_100.0])
    assert result.passed is False and "too few for a test, so the medians decide" in result.detail
    assert judged([10_500.0, 10_600.0], [10_000.0, 10_100.0]).passed


def test_runs_without_a_flow_in_common_cannot_be_compared() -> None:
    result = judged(BEFORE, [nan] * 12)
    assert (result.passed, result.detail) == (False, "no flow of it has a figure in run old too")


# --- reading and refusing ---------------------------------------------------------------------------------------


def test_figures_are_those_of_flows_that_policy_allows(tmp_path: Path) -> None:
    row = {"level": "flow", "name": "calls/1", "class": "voice", "phase": RUN, "expect": "delivered", "loss": 0.1}
    others = [{**row, "level": "class"}, {**row, "expect": "denied"}, {**row, "name": "idle", "loss": None}]
    pq.write_table(pa.Table.from_pylist([row, *others]), tmp_path / FIGURES)
    expected = {("voice", RUN, "loss"): {"calls/1": 0.1}}
    assert read_flow_figures(tmp_path, ["loss"], "x") == expected
    assert read_flow_figures(tmp_path / FIGURES, ["loss"], "x") == expected


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and nothing"])
def test_what_has_no_figures_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / FIGURES).write_bytes(content)
    with pytest.raises(InputError, match=r"checks.it: '.*' (no such file|has no figures)"):
        read_flow_figures(tmp_path, ["loss"], "checks.it")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('metric: gap, than: {run: old}, limit: ">= 110 %"', "limit: '>= 110 %' does not say how much worse it may be"),
        ('metric: gap, than: {run: old}, limit: "<= 90 %"', "limit: '<= 90 %' does not say how much worse it may be"),
        ('metric: mos, than: {run: old}, limit: "<= 110 %"', "limit: '<= 110 %' does not say how much worse it may be"),
        ('metric: gap, than: {run: old}, over: together, limit: "<= 110 %"', "over: 'together' has no meaning beside"),
        ('metric: minutes_lost, than: {run: old}, limit: "<= 110 %"', "metric: 'minutes_lost' is no figure of single"),
        ('metric: gap, than: {ran: old}, limit: "<= 110 %"', "than"),
    ],
)
def test_comparisons_that_mean_nothing_are_refused(entry: str, said: str) -> None:
    found = problems(f"{SMALL}  it: {{{entry}}}\n")
    assert any(problem.startswith(f"small.yaml:27: checks.it.{said}") for problem in found), found
