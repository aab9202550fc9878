"""Evaluates the checks of a run: compares figures with limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf, isnan, nan

from helsewan.common.exit_codes import ExitCode
from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.flowspec import ExchangeSpec, FlowSpec, TrafficPlan
from helsewan.lab.health.stalls import told, worst_stall
from helsewan.lab.health.validity import Grade, ValidityFinding
from helsewan.scenarios.results.exchange_figures import ExchangeMeasurement
from helsewan.scenarios.results.measure import Measurement, Window
from helsewan.scenarios.results.outages import ArrivedDatagrams, minutes_lost, time_to_repair
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Metric, Source, Unit, show
from helsewan.scenarios.spec.checks.schema import CheckSpec, FlowSelection, Over, Scope, Severity
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.targets import Fate
from helsewan.scenarios.spec.timeline.timepoints import RUN, EventTime
from helsewan.scenarios.traffic.selection import judged, selects
from helsewan.topology.model import Region


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
    there was none). ``conclusive``: no slow machine can cause a failure. ``severity``: what a failure means."""

    name: str
    metric: str
    passed: bool | None
    value: float
    limit: str
    unit: str
    detail: str
    conclusive: bool = False
    severity: Severity = Severity.MUST

    @property
    def fails_the_run(self) -> bool:
        """Whether the run fails by this check; a check that should hold and does not is a warning."""
        return self.passed is False and self.severity is Severity.MUST

    @property
    def shown(self) -> str:
        """The value for people."""
        return show(self.value, Unit(self.unit))


@dataclass(frozen=True)
class Evidence:
    """What checks and assertions are evaluated on. ``fates``: the effect of the failures on traffic between (client,
    server) sites; ``regions``: of sites by id; ``phases`` and ``event_times`` as they took place; ``event_delays_us``
    by metric and event; ``arrived`` and ``done``: single datagrams and requests."""

    traffic: TrafficPlan
    fates: Mapping[tuple[str, str], Fate]
    flows: Measurement
    exchanges: ExchangeMeasurement
    arrived: ArrivedDatagrams
    done: Sequence[Exchange] = ()
    phases: Sequence[Window] = ()
    event_times: Mapping[str, EventTime] = field(default_factory=dict)
    event_delays_us: Mapping[tuple[str, str], float] = field(default_factory=dict)
    regions: Mapping[str, Region] = field(default_factory=dict)


def judge(spec: ScenarioSpec, evidence: Evidence) -> tuple[CheckResult, ...]:
    """Every check of the scenario, in its order. A check that selects nothing fails unless it is optional."""
    return tuple(_judge_one(name, check, evidence) for name, check in spec.checks.items())


def selected_flows(selection: FlowSelection, metric: Metric, evidence: Evidence) -> list[FlowSpec]:
    """The flows that a check or an assertion judges by ``metric``."""
    flows = (flow for flow in evidence.traffic.flows if judged(selection, metric.name, flow))
    return [flow for flow in flows if _is_selected(selection, flow, evidence)]


def selected_exchanges(selection: FlowSelection, metric: Metric, evidence: Evidence) -> list[ExchangeSpec]:
    """The exchanges that a check or an assertion judges by ``metric``."""
    exchanges = (one for one in evidence.traffic.exchanges if not metric.kinds or one.kind in metric.kinds)
    return [one for one in exchanges if _is_selected(selection, one, evidence)]


def _is_selected(selection: FlowSelection, spec: FlowSpec | ExchangeSpec, evidence: Evidence) -> bool:
    if not selects(selection, spec, evidence.regions):
        return False
    return selection.scope is Scope.ALL or evidence.fates[spec.client, spec.server].value == selection.scope.value


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
    failed = [result for result in results if result.fails_the_run]
    if any(result.conclusive for result in failed):
        return RunVerdict.FAIL
    if grade is Grade.VOID:
        return RunVerdict.VOID
    return RunVerdict.FAIL if failed else RunVerdict.PASS


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a check compares with its limit: a value by name for each thing it judges, of which ``noun`` says what it
    is. ``pooled``: the values are one, of so many things together."""

    noun: str
    values: Mapping[str, float]
    pooled: int = 0


def _judge_one(name: str, check: CheckSpec, evidence: Evidence) -> CheckResult:
    metric = METRICS[check.metric]
    found = _values(check, metric, check.phase or RUN, evidence)
    if not found.values:
        if check.optional:
            return _result(name, check, None, nan, "selects nothing")
        return _result(name, check, False, nan, f"selects no {found.noun}: the scenario has none that fits")
    if isinstance(check.limit, Limit):
        limits = dict.fromkeys(found.values, check.limit)
    else:
        bases = _values(check, metric, str(check.than), evidence).values
        limits = {key: check.limit.against(bases.get(key, nan)) for key in found.values}
    worst = max(found.values, key=lambda key: _badness(found.values[key], limits[key]))
    base = "" if check.than is None else f"; {_bound(limits[worst])} by {check.than}"
    value = found.values[worst]
    broken = sum(not limits[key].holds(value) for key, value in found.values.items())
    if found.pooled:
        detail = f"{found.pooled} together"
    elif broken:
        detail = f"{broken} of {len(found.values)} outside the limit, worst {worst}"
    else:
        detail = f"worst of {len(found.values)}"
    return _result(name, check, not broken, value, detail + base)


def _values(check: CheckSpec, metric: Metric, phase: str, evidence: Evidence) -> _Judged:
    """What ``check`` judges, in ``phase``."""
    source, event = metric.source, str(check.event)
    if source is Source.EVENT:
        delay_us = evidence.event_delays_us.get((metric.name, event))
        return _Judged("change after the event", {} if delay_us is None else {event: delay_us})
    if source is Source.EXCHANGE:
        return _measured(check, metric, phase, selected_exchanges(check, metric, evidence), evidence.exchanges)
    flows = selected_flows(check, metric, evidence)
    if source is Source.OUTAGE:
        time = evidence.event_times.get(event)
        repairs_us = {flow.name: time_to_repair(evidence.arrived, flow, time) if time else nan for flow in flows}
        return _Judged("flow", repairs_us)
    if source is Source.SITE:
        return _Judged("site", _minutes_lost(check, flows, phase, evidence))
    return _measured(check, metric, phase, flows, evidence.flows)


def _measured(
    check: CheckSpec,
    metric: Metric,
    phase: str,
    specs: Sequence[FlowSpec] | Sequence[ExchangeSpec],
    measurement: Measurement | ExchangeMeasurement,
) -> _Judged:
    """The figures of flows or exchanges in a phase: of each, or pooled."""
    known = [spec for spec in specs if (spec.id, phase) in measurement.figures]
    noun = metric.source.value
    if known and check.over is Over.TOGETHER:
        pooled = measurement.pool([spec.id for spec in known], phase)
        return _Judged(noun, {"": float(getattr(pooled, metric.field))}, len(known))
    return _Judged(
        noun, {spec.name: float(getattr(measurement.figures[spec.id, phase], metric.field)) for spec in known}
    )


def _minutes_lost(check: CheckSpec, flows: Sequence[FlowSpec], phase: str, evidence: Evidence) -> dict[str, float]:
    """Minutes lost, by site, of the sites that the check names, or that have a part in the flows that it selects."""
    window = next((window for window in evidence.phases if window.name == phase), None)
    lost = minutes_lost(evidence.arrived, flows, window) if window else {}
    return {
        site: minutes
        for site, minutes in lost.items()
        if check.site in (None, site) and check.region in (None, evidence.regions.get(site))
    }


def _badness(value: float, limit: Limit) -> float:
    """How far a value is on the wrong side of the limit, larger is worse; no value at all is worst."""
    if isnan(value) or isnan(limit.bound):
        return inf
    if limit.comparison == "==":
        return abs(value - limit.bound)
    return value - limit.bound if limit.comparison in ("<", "<=") else limit.bound - value


def _bound(limit: Limit) -> str:
    return "no value" if isnan(limit.bound) else f"{limit.comparison} {show(limit.bound, limit.unit)}"


def _result(name: str, check: CheckSpec, passed: bool | None, value: float, detail: str) -> CheckResult:
    metric = METRICS[check.metric]
    limit = str(check.limit) if check.than is None else f"{check.limit} of {check.than}"
    facts = metric.conclusive, check.severity
    return CheckResult(name, metric.name, passed, value, limit, metric.unit.value, detail, *facts)
