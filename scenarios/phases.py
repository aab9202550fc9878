"""When a scenario's phases took place, from what its history says of the timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scenarios.measure import Window
from scenarios.schema import ScenarioSpec
from scenarios.spec import RUN
from scenarios.timepoints import Moment

TIMELINE_EVENT = "timeline"  # history: {"event": "timeline", "name": …, "begin_us": …, "done_us": …}


def moments(history: Iterable[Mapping[str, Any]]) -> dict[str, Moment]:
    """When each event of the timeline began and was done, microseconds from the run's start."""
    return {
        event["name"]: Moment(event["begin_us"], event["done_us"])
        for event in history
        if event.get("event") == TIMELINE_EVENT
    }


def windows(spec: ScenarioSpec, took_place: Mapping[str, Moment]) -> tuple[Window, ...]:
    """The phases as they took place, the whole run first. Phases that depend on an event that never took
    place are left out; one that an overlong event left no time for is empty."""
    phases = [Window(RUN, 0, spec.duration)]
    for name, phase in spec.phases.items():
        if {phase.begin.anchor, phase.end.anchor} <= {"start", "end", *took_place}:
            begin_us, end_us = (point.resolve(took_place, spec.duration) for point in (phase.begin, phase.end))
            phases.append(Window(name, begin_us, max(begin_us, end_us)))
    return tuple(phases)
