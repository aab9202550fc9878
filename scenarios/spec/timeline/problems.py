"""What is wrong with a timeline and its phases, as far as the file alone shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.units import format_duration
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.conditions import EventCondition, MetricCondition
from helsewan.scenarios.spec.timeline.plan import (
    TimelinePlan,
    broken_entries,
    circles,
    occurrence_names,
    plan_timeline,
    time_points,
)
from helsewan.scenarios.spec.timeline.schema import FAILURES, LASTING, EventSpec
from helsewan.scenarios.spec.timeline.timepoints import END, RUN, START, EventTime, TimePoint
from helsewan.scenarios.spec.timeline.warmup import warmup_problems


def time_problems(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Problems of times: names that are taken or unknown, circles, times outside the run, empty phases."""
    names = [name for entry, event in spec.timeline.items() for name in occurrence_names(entry, event)]
    yield from _name_problems(spec, document, names)
    yield from _unknown_events(spec, document, names)
    for circle in circles(spec):
        where, shown = document.where(("timeline", circle[0])), " > ".join([*circle, circle[0]])
        yield Problem(where, shown, "is a circle of events that wait for each other", "give one of them a time")
    plan = plan_timeline(spec)
    yield from _event_problems(spec, document, plan, bool(broken_entries(spec)))
    yield from _phase_problems(spec, document, names, plan)
    yield from _rules_problems(spec, document, names, plan)
    yield from warmup_problems(spec, document, plan.known_times)


def _name_problems(spec: ScenarioSpec, document: Document, names: list[str]) -> Iterator[Problem]:
    for entry in spec.timeline:
        where = document.where(("timeline", entry))
        if entry in (START, END, RUN):
            yield Problem(where, entry, "is a reserved name", "choose another name")
        elif names.count(entry) > 1:
            yield Problem(where, entry, "is also the name of an occurrence of a periodic event", "choose another name")


def _unknown_events(spec: ScenarioSpec, document: Document, names: list[str]) -> Iterator[Problem]:
    for entry, event in spec.timeline.items():
        for key, point in time_points(event):
            if point.event is not None and point.event not in names:
                where = document.where(("timeline", entry, *key))
                yield Problem(where, str(point), "refers to no event", nearest(point.event, [*names, END]))
        named: dict[tuple[str, ...], str | None] = {("end",): event.end}
        if isinstance(event.when, EventCondition):
            named["when", "event"] = event.when.event
        for path, name in named.items():
            if name is not None and name not in names:
                where = document.where(("timeline", entry, *path))
                yield Problem(where, name, "is no event", nearest(name, names))


def _event_problems(spec: ScenarioSpec, document: Document, plan: TimelinePlan, some_broken: bool) -> Iterator[Problem]:
    """Problems of each entry; with ``some_broken``, nothing is said about times that may depend on broken ones."""
    times = {name: time.begin_us for name, time in plan.known_times.items()}
    for entry, event in spec.timeline.items():
        if not some_broken or all(_known_us(point, times, 0) is not None for _, point in time_points(event)):
            yield from _time_problems_of(entry, event, spec, document, times)
        yield from _condition_problems(entry, event, spec, document)
        if event.end is not None:
            yield from _end_problems(entry, event.end, spec, document, plan)


def _time_problems_of(
    entry: str, event: EventSpec, spec: ScenarioSpec, document: Document, times: Mapping[str, int]
) -> Iterator[Problem]:
    """Problems of the times of one entry: outside the run, in no order, before events of unknown time."""
    ends = f"the run ends at {format_duration(spec.duration)}"
    points = {key: (point, _known_us(point, times, spec.duration)) for key, point in time_points(event)}
    for key, (point, at_us) in points.items():
        where = document.where(("timeline", entry, *key))
        last_us = spec.duration if key == ("deadline",) else spec.duration - 1
        if at_us is not None and not 0 <= at_us <= last_us:
            yield Problem(where, str(point), "is not within the run", ends)
        elif at_us is None and point.offset_us < 0:
            hint = "write it after that event"
            yield Problem(where, str(point), "is before an event whose time is not known beforehand", hint)
        elif at_us is None and event.between is not None:
            hint = "give bounds relative to events of known time"
            yield Problem(where, str(point), "depends on a condition, so no time can be drawn", hint)
    known = {key: at_us for key, (_, at_us) in points.items() if at_us is not None}
    if event.between is not None and len(known) == 2 and known["between", 0] >= known["between", 1]:
        shown = f"{event.between[0]} to {event.between[1]}"
        yield Problem(document.where(("timeline", entry, "between")), shown, "is no span", "earlier bound first")
    if ("deadline",) in known and known["deadline",] <= known.get(("after",), 0):
        where = document.where(("timeline", entry, "deadline"))
        yield Problem(where, str(event.deadline), "is not later than the condition is first looked at", "")
    if event.times is not None and entry in times:
        last_us = times[occurrence_names(entry, event)[-1]]
        if last_us >= spec.duration:
            where = document.where(("timeline", entry, "times"))
            reason = f"makes the last one happen at {format_duration(last_us)}, which is not within the run"
            yield Problem(where, event.times, reason, ends)


def _known_us(point: TimePoint, times: Mapping[str, int], end_us: int) -> int | None:
    if point.event is None:
        return point.resolve({}, end_us)
    return times[point.event] + point.offset_us if point.event in times else None


def _condition_problems(entry: str, event: EventSpec, spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    condition = event.when
    if isinstance(condition, MetricCondition):
        traffic = condition.traffic
        if traffic is not None and traffic not in spec.traffic:
            where = document.where(("timeline", entry, "when", "traffic"))
            yield Problem(where, traffic, "is no traffic", nearest(traffic, spec.traffic))
    elif condition == "repaired" and all(each.action not in FAILURES for each in spec.timeline.values()):
        where = document.where(("timeline", entry, "when"))
        yield Problem(where, condition, "waits for a repair, but nothing ever fails", "leave it out")


def _end_problems(
    entry: str, name: str, spec: ScenarioSpec, document: Document, plan: TimelinePlan
) -> Iterator[Problem]:
    """Problems of an event that ends what the event ``name`` began."""
    where = document.where(("timeline", entry, "end"))
    ended = next((each for key, each in spec.timeline.items() if name in occurrence_names(key, each)), None)
    if ended is None:
        return
    if ended.action not in LASTING:
        yield Problem(where, name, f"does not last: {ended.action} is done at once", "leave this event out")
    elif ended.lasts is not None:
        yield Problem(where, name, f"ends by itself after {format_duration(ended.lasts)}", "leave for out there")
    elif ended.undo == "keep":
        yield Problem(where, name, "is to be kept", "leave undo: keep out there, or leave this event out")
    times = plan.known_times
    if name in times and entry in times and times[entry].begin_us <= times[name].begin_us:
        begins = format_duration(times[name].begin_us)
        yield Problem(where, name, f"begins only at {begins}", "end it later than that")


def _phase_problems(spec: ScenarioSpec, document: Document, names: list[str], plan: TimelinePlan) -> Iterator[Problem]:
    for name, phase in spec.phases.items():
        if name == RUN:
            yield Problem(document.where(("phases", name)), name, "is the whole run already", "choose another name")
        points = {"from": phase.begin, "to": phase.end}
        unknown = [key for key, point in points.items() if point.event is not None and point.event not in names]
        for key in unknown:
            hint = nearest(points[key].anchor, [*names, END])
            yield Problem(document.where(("phases", name, key)), str(points[key]), "refers to no event", hint)
        happening = {event for event, time in plan.known_times.items() if 0 <= time.begin_us < spec.duration}
        if {point.event for point in points.values()} <= {None, *happening}:
            yield from _window_problems(name, points, plan.known_times, spec, document)


def _rules_problems(spec: ScenarioSpec, document: Document, names: list[str], plan: TimelinePlan) -> Iterator[Problem]:
    for name, point in (spec.verify.rules if spec.verify else {}).items():
        where = document.where(("verify", "rules", name))
        if point.event is not None and point.event not in names:
            yield Problem(where, str(point), "refers to no event", nearest(point.anchor, [*names, END]))
        elif point.event in (None, *plan.known_times):
            if not 0 <= point.resolve(plan.known_times, spec.duration) <= spec.duration:
                ends = f"it ends at {format_duration(spec.duration)}"
                yield Problem(where, str(point), "is not within the run", ends)
        elif point.offset_us < 0:
            reason = "is before an event whose time is not known beforehand"
            yield Problem(where, str(point), reason, "write it after that event")


def _window_problems(
    name: str,
    points: Mapping[str, TimePoint],
    event_times: Mapping[str, EventTime],
    spec: ScenarioSpec,
    document: Document,
) -> Iterator[Problem]:
    begin_us, end_us = (points[key].resolve(event_times, spec.duration) for key in ("from", "to"))
    if not 0 <= begin_us < end_us <= spec.duration:
        shown = f"{points['from']} to {points['to']}"
        ends = f"and the run ends at {format_duration(spec.duration)}"
        hint = f"that is {format_duration(begin_us)} to {format_duration(end_us)}, {ends}"
        yield Problem(document.where(("phases", name)), shown, "is no window of time within the run", hint)
