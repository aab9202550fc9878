"""What is wrong with a timeline and its phases, as far as the file alone shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.units import format_duration
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import END, RUN, START, EventTime, TimePoint


def time_problems(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Problems of times: events outside the run, phases of unknown events, empty phases."""
    for name, event in spec.timeline.items():
        where = document.where(("timeline", name, "at"))
        if event.at >= spec.duration:
            hint = f"the run ends at {format_duration(spec.duration)}"
            yield Problem(where, format_duration(event.at), "is not within the run", hint)
        if name in (START, END, RUN):
            yield Problem(document.where(("timeline", name)), name, "is a reserved name", "choose another name")
    if spec.warmup >= spec.duration:
        where, shown = document.where(("warmup",)), format_duration(spec.warmup)
        yield Problem(where, shown, "leaves nothing of the run", f"it ends at {format_duration(spec.duration)}")
    event_times = {name: EventTime(event.at, event.at) for name, event in spec.timeline.items()}
    for name, phase in spec.phases.items():
        if name == RUN:
            yield Problem(document.where(("phases", name)), name, "is the whole run already", "choose another name")
        points = {"from": phase.begin, "to": phase.end}
        unknown = [key for key, point in points.items() if point.anchor not in {START, END, *event_times}]
        for key in unknown:
            hint = nearest(points[key].anchor, [*event_times, END])
            yield Problem(document.where(("phases", name, key)), str(points[key]), "refers to no event", hint)
        if not unknown:
            yield from _window_problems(name, points, event_times, spec, document)

    for name, point in (spec.verify.rules if spec.verify else {}).items():
        where = document.where(("verify", "rules", name))
        if point.anchor not in {START, END, *event_times}:
            yield Problem(where, str(point), "refers to no event", nearest(point.anchor, [*event_times, END]))
        elif not 0 <= point.resolve(event_times, spec.duration) <= spec.duration:
            yield Problem(where, str(point), "is not within the run", f"it ends at {format_duration(spec.duration)}")


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
        yield Problem(document.where(("phases", name)), shown, "is no window of time within the run", "")
    elif begin_us < spec.warmup and points["from"] != TimePoint(START):
        hint = f"let it begin at {format_duration(spec.warmup)} or later, or at start, which means the same"
        yield Problem(document.where(("phases", name, "from")), str(points["from"]), "is within the warm-up", hint)
    elif end_us <= spec.warmup:
        yield Problem(document.where(("phases", name)), str(points["to"]), "is all within the warm-up", "end it later")
