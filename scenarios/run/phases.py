"""When a scenario's phases took place, given when its events did."""

from __future__ import annotations

from collections.abc import Mapping

from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import END, RUN, START, EventTime


def windows(spec: ScenarioSpec, event_times: Mapping[str, EventTime]) -> tuple[Window, ...]:
    """The phases as they took place, the whole run first; none has a part of the warm-up. ``event_times`` has the
    actual times of events. Phases that depend on an event that never took place are left out; one that a long event
    left no time for is empty."""
    phases = [Window(RUN, spec.warmup, spec.duration)]
    for name, phase in spec.phases.items():
        if {phase.begin.anchor, phase.end.anchor} <= {START, END, *event_times}:
            begin_us, end_us = (point.resolve(event_times, spec.duration) for point in (phase.begin, phase.end))
            begin_us = max(begin_us, spec.warmup)
            phases.append(Window(name, begin_us, max(begin_us, end_us)))
    return tuple(phases)
