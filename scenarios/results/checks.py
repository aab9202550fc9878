"""Evaluates the checks of a run: compares figures with limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import isnan

from helsewan.common.exit_codes import ExitCode
from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.flows.replay_plan import ReplayFlow
from helsewan.lab.health.stalls import told, worst_stall
from helsewan.lab.health.validity import Grade, ValidityFinding
from helsewan.scenarios.results.exchange_figures import ExchangeFigures, ExchangeMeasurement
from helsewan.scenarios.results.measure import Figures, Measurement, Window
from helsewan.scenarios.results.replay_figures import ReplayFigures, ReplayMeasurement, no_replays
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Metric, Source, Unit, show
from helsewan.scenarios.spec.checks.schema import CheckSpec, Over, Scope
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.targets import Fate
from helsewan.scenarios.spec.timeline.timepoints import RUN


class RunVerdict(str, Enum):
    """How a run ended."""

    PASS = "pass"
    FAIL = "fail"
    VOID = "void"  # the machine could not keep up: the run shows nothing
    ERROR = "error"  # a defect of helsewan or a missing privilege: the run shows nothing, nor will the next

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code; that of an error may be another (`report.error_result`)."""
        return ExitCode.INTERNAL_ERROR if self is RunVerdict.ERROR else ExitCode[self.name]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's outcome. ``passed`` is None for an optional check that selected nothing; ``value`` is in ``unit`` (NaN:
    there was none). ``conclusive``: no slow machine can cause a failure."""

    name: str
    metric: str
    passed: bool | None
    value: float
    limit: str
    unit: str
    detail: str
    conclusive: bool = False

    @property
    def shown(self) -> str:
        """The value for people."""
        return show(self.value, Unit(self.unit))


@dataclass(frozen=True)
class Evidence:
    """What checks are evaluated on. ``fates``: the effect of the failures on traffic between (client, server) sites."""

    traffic: TrafficPlan
    fates: Mapping[tuple[str, str], Fate]
    flows: Measurement
    exchanges: ExchangeMeasurement
    replays: ReplayMeasurement = field(default_factory=no_replays)


def judge(spec: ScenarioSpec, evidence: Evidence) -> tuple[CheckResult, ...]:
    """Every check of the scenario, in its order. A check that selects nothing fails unless it is optional."""
    return tuple(_judge_one(name, check, evidence) for name, check in spec.checks.items())


def near_stalls(
    spec: ScenarioSpec,
    results: Sequence[CheckResult],
    windows: Iterable[Window],
    findings: Sequence[ValidityFinding],
) -> tuple[tuple[CheckResult, ...], list[tuple[str, ValidityFinding]]]:
    """The results, in which each check says so that failed while the machine nearly stalled, and those checks' names
    with the stall. Failures that no slow machine can cause stand as they are."""
    times = {window.name: window for window in windows}
    told_results, failed = [], []
    for result in results:
        check = spec.checks.get(result.name)
        window = times.get(check.phase or RUN) if check else None
        stall = None
        if result.passed is False and not result.conclusive and window is not None:
            stall = worst_stall(findings, window.start_us, window.end_us)
        if stall is not None:
            failed.append((result.name, stall))
            result = replace(result, detail=f"{result.detail}; suspect: {told(stall)}")
        told_results.append(result)
    return tuple(told_results), failed


def verdict(results: Iterable[CheckResult], grade: Grade) -> RunVerdict:
    """Void when the validity's ``grade`` is, but for failures that no slow machine can cause."""
    failed = [result for result in results if result.passed is False]
    if any(result.conclusive for result in failed):
        return RunVerdict.FAIL
    if grade is Grade.VOID:
        return RunVerdict.VOID
    return RunVerdict.FAIL if failed else RunVerdict.PASS


_Selected = tuple[FlowSpec | ExchangeSpec | ReplayFlow, Figures | ExchangeFigures | ReplayFigures]


def _judge_one(name: str, check: CheckSpec, evidence: Evidence) -> CheckResult:
    metric = METRICS[check.metric]
    phase = check.phase or RUN
    selected = list(_selection(check, metric, phase, evidence))
    if not selected:
        detail = (
            "selects nothing"
            if check.optional
            else f"selects no {metric.source.value}: the scenario has none that fits"
        )
        return _result(name, check, metric, None if check.optional else False, float("nan"), detail)
    if check.over is Over.TOGETHER:
        value = float(getattr(_pooled([spec for spec, _ in selected], phase, evidence), metric.field))
        return _result(name, check, metric, check.limit.holds(value), value, f"{len(selected)} together")
    values = [(float(getattr(figures, metric.field)), spec.name) for spec, figures in selected]
    value, worst = max(values, key=lambda pair: _badness(pair[0], check.limit))
    broken = sum(not check.limit.holds(value) for value, _ in values)
    detail = f"{broken} of {len(values)} outside the limit, worst {worst}" if broken else f"worst of {len(values)}"
    return _result(name, check, metric, not broken, value, detail)


def _pooled(
    specs: Sequence[FlowSpec | ExchangeSpec | ReplayFlow], phase: str, evidence: Evidence
) -> Figures | ExchangeFigures | ReplayFigures:
    """The figures of several flows, exchanges or replayed flows as one."""
    if isinstance(specs[0], ReplayFlow):
        return evidence.replays.pool(((spec.entry, spec.id) for spec in specs), phase)
    source = evidence.flows if isinstance(specs[0], FlowSpec) else evidence.exchanges
    return source.pool((spec.id for spec in specs), phase)


def _selection(check: CheckSpec, metric: Metric, phase: str, evidence: Evidence) -> Iterator[_Selected]:
    """The flows or exchanges that a check judges, with their figures in the phase."""
    if metric.source is Source.EXCHANGE:
        for exchange in evidence.traffic.exchanges:
            if _is_selected(check, exchange, evidence) and (exchange.id, phase) in evidence.exchanges.figures:
                yield exchange, evidence.exchanges.figures[exchange.id, phase]
        return
    if metric.source is Source.REPLAY:
        yield from _replayed(check, metric, phase, evidence)
        return
    expected = Expect.DENIED if metric.name == "leaked" else Expect.DELIVERED
    for flow in evidence.traffic.flows:
        named = check.traffic is not None  # controls are sparse: a check selects them by name only
        wanted = flow.expect is expected and (named or flow.kind is not FlowKind.CONTROL)
        if wanted and _is_selected(check, flow, evidence) and (flow.id, phase) in evidence.flows.figures:
            yield flow, evidence.flows.figures[flow.id, phase]


def _replayed(check: CheckSpec, metric: Metric, phase: str, evidence: Evidence) -> Iterator[_Selected]:
    """The replayed flows that a check judges: of those with packets in the phase."""
    denied = metric.name == "replay_leaked"
    for replay in evidence.traffic.replays:
        for flow in replay.flows:
            figures = evidence.replays.figures.get(((flow.entry, flow.id), phase))
            if figures and figures.replay_sent and flow.is_denied is denied and _is_selected(check, flow, evidence):
                yield flow, figures


def _is_selected(check: CheckSpec, spec: FlowSpec | ExchangeSpec | ReplayFlow, evidence: Evidence) -> bool:
    if check.cls not in (None, spec.class_name) or (check.traffic is not None and check.traffic not in spec.groups):
        return False
    return check.scope is Scope.ALL or evidence.fates[spec.client, spec.server].value == check.scope.value


def _badness(value: float, limit: Limit) -> float:
    """How far a value is on the wrong side of the limit, larger is worse; no value at all is worst."""
    if isnan(value):
        return float("inf")
    if limit.comparison == "==":
        return abs(value - limit.bound)
    return value if limit.comparison in ("<", "<=") else -value


def _result(name: str, check: CheckSpec, metric: Metric, passed: bool | None, value: float, detail: str) -> CheckResult:
    return CheckResult(name, metric.name, passed, value, str(check.limit), metric.unit.value, detail, metric.conclusive)
