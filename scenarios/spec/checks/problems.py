"""What is wrong with checks and assertions, as far as the file alone shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.units import format_duration
from helsewan.scenarios.spec.checks.assertions import AssertSpec
from helsewan.scenarios.spec.checks.metrics import METRICS, Metric, Source
from helsewan.scenarios.spec.checks.schema import CheckSpec, FlowSelection, Over, Scope
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.plan import occurrence_names, plan_timeline
from helsewan.scenarios.spec.timeline.problems import time_problems
from helsewan.scenarios.spec.timeline.schema import DISCONNECTING
from helsewan.scenarios.spec.timeline.timepoints import RUN, EventTime
from helsewan.scenarios.spec.traffic.applications import Exchanges
from helsewan.scenarios.spec.traffic.programs import ProgramSpec
from helsewan.scenarios.spec.traffic.scan import ScanSpec
from helsewan.scenarios.spec.traffic.schema import IsolationSpec, Traffic, VideoSpec, VoiceSpec

_AFTER_EVENTS = (Source.EVENT, Source.OUTAGE)


def check_problems(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Problems of checks and assertions: unknown phases, events and traffic, traffic that does not have the metric,
    combinations that mean nothing, windows that do not fit into the run."""
    timed = not any(time_problems(spec, document))  # otherwise there is no plan of the timeline
    times = plan_timeline(spec).known_times if timed else {}
    for name, check in spec.checks.items():
        yield from _phase_problems(spec, document, ("checks", name, "phase"), check.phase)
        yield from _selection_problems(spec, document, ("checks", name), check, check.metric)
        yield from _comparison_problems(spec, document, name, check)
        yield from _event_problems(spec, document, name, check)
    for name, assertion in spec.assertions.items():
        if name in spec.checks:
            hint = "choose another name"
            yield Problem(document.where(("assert", name)), name, "is the name of a check too", hint)
        yield from _phase_problems(spec, document, ("assert", name, "in"), assertion.phase)
        yield from _selection_problems(spec, document, ("assert", name), assertion, assertion.metric)
        yield from _within_problems(spec, document, name, assertion)
        if timed:
            yield from _window_problems(spec, document, name, assertion, times)


_Path = tuple[str, ...]


def _phase_problems(spec: ScenarioSpec, document: Document, path: _Path, phase: str | None) -> Iterator[Problem]:
    if phase not in (None, RUN, *spec.phases):
        yield Problem(document.where(path), phase, "is no phase", nearest(str(phase), [*spec.phases, RUN]))


def _selection_problems(
    spec: ScenarioSpec, document: Document, path: _Path, selection: FlowSelection, metric: str
) -> Iterator[Problem]:
    """Problems of what a check or an assertion at ``path`` selects for its metric."""
    traffic, source = selection.traffic, METRICS[metric].source
    if traffic is not None and traffic not in _traffic_names(spec):
        hint = nearest(traffic, _traffic_names(spec))
        yield Problem(document.where((*path, "traffic")), traffic, "is no traffic", hint)
    elif traffic in spec.traffic and not _fits(spec, str(traffic), METRICS[metric]):
        reason = f"has no {metric}: that is a metric of other traffic"
        yield Problem(document.where((*path, "metric")), traffic, reason, "")
    if selection.scope is not Scope.ALL and not any(event.action in DISCONNECTING for event in spec.timeline.values()):
        where = document.where((*path, "scope"))
        yield Problem(where, selection.scope.value, "has no effect: the timeline has no failure", "leave it out")
    if source is Source.EVENT and (selected := selection.model_fields_set & set(FlowSelection.model_fields)):
        key = "class" if "cls" in selected else min(selected)
        reason = f"has no effect: {metric} is of the network, not of flows"
        yield Problem(document.where((*path, key)), None, reason, "leave it out")


def _comparison_problems(spec: ScenarioSpec, document: Document, name: str, check: CheckSpec) -> Iterator[Problem]:
    if check.than is None:
        return
    path = ("checks", name, "than")
    yield from _phase_problems(spec, document, path, check.than)
    if METRICS[check.metric].source in _AFTER_EVENTS:
        reason = f"is a phase, and {check.metric} is measured from an event"
        yield Problem(document.where(path), check.than, reason, "leave it out")
    elif check.than == (check.phase or RUN):
        yield Problem(document.where(path), check.than, "compares a phase with itself", "give another phase")


def _event_problems(spec: ScenarioSpec, document: Document, name: str, check: CheckSpec) -> Iterator[Problem]:
    """Problems of metrics that are measured from an event, and of those that are not."""
    source, where = METRICS[check.metric].source, document.where(("checks", name, "event"))
    if source in _AFTER_EVENTS:
        if check.event is None:
            reason = f"is missing: {check.metric} is measured from an event of the timeline"
            yield Problem(where, None, reason, nearest("", _events(spec)))
        elif check.event not in _events(spec):
            yield Problem(where, check.event, "is no event", nearest(check.event, _events(spec)))
        if check.phase is not None:
            reason = f"has no effect: {check.metric} is measured from an event"
            yield Problem(document.where(("checks", name, "phase")), check.phase, reason, "leave it out")
    elif check.event is not None:
        reason = f"has no effect: {check.metric} is measured in a phase"
        yield Problem(where, check.event, reason, "leave it out, or give phase")
    if check.over is Over.TOGETHER and source in (*_AFTER_EVENTS, Source.SITE):
        where, reason = document.where(("checks", name, "over")), f"has no meaning for {check.metric}"
        yield Problem(where, check.over.value, reason, "leave it out: the worst decides")


def _within_problems(spec: ScenarioSpec, document: Document, name: str, assertion: AssertSpec) -> Iterator[Problem]:
    if assertion.within is not None and assertion.within.event not in (events := _events(spec)):
        where, event = document.where(("assert", name, "within")), assertion.within.event
        yield Problem(where, event, "is no event", nearest(event, events))


def _window_problems(
    spec: ScenarioSpec, document: Document, name: str, assertion: AssertSpec, times: Mapping[str, EventTime]
) -> Iterator[Problem]:
    """An assertion that takes longer than the time it is about, as far as ``times`` of events are known."""
    within, needed_us = assertion.within, assertion.window if assertion.is_always else assertion.lasting_us
    begin_us, end_us = spec.warmup, spec.duration
    phase = spec.phases.get(assertion.phase or RUN)
    if phase is not None:
        if not {phase.begin.event, phase.end.event} <= {None, *times}:
            return
        begin_us = max(begin_us, phase.begin.resolve(times, spec.duration))
        end_us = min(end_us, phase.end.resolve(times, spec.duration))
    if within is not None:
        if within.event not in times:
            return
        begin_us, needed_us = times[within.event].begin_us, within.time_us + needed_us
    if end_us - begin_us < needed_us:
        key = "within" if within else "for" if assertion.lasting else "window"
        reason = f"takes {format_duration(needed_us)}, and there are {format_duration(max(end_us - begin_us, 0))}"
        yield Problem(document.where(("assert", name, key)), str(assertion), reason, "shorten it, or let the run last")


def _events(spec: ScenarioSpec) -> list[str]:
    """The names of all occurrences of the timeline's events."""
    return [name for entry, event in spec.timeline.items() for name in occurrence_names(entry, event)]


def _traffic_names(spec: ScenarioSpec) -> list[str]:
    """Names of traffic entries, and of the groups of flows in them."""
    return [*spec.traffic, *(f"{name}.{part}" for name, traffic in spec.traffic.items() for part in _parts(traffic))]


def _parts(traffic: Traffic) -> tuple[str, ...]:
    """The groups of flows in an entry that checks can name."""
    if isinstance(traffic, IsolationSpec):
        return "requests", "replies", "controls"
    if isinstance(traffic, ScanSpec):
        return "allowed", "denied", "controls"
    return ("rtcp",) if isinstance(traffic, VoiceSpec | VideoSpec) and traffic.rtcp else ()


def _fits(spec: ScenarioSpec, traffic: str, metric: Metric) -> bool:
    entry = spec.traffic[traffic]
    if isinstance(entry, ProgramSpec) or (metric.kinds and entry.kind not in metric.kinds):
        return False
    return isinstance(entry, Exchanges) == (metric.source is Source.EXCHANGE)
