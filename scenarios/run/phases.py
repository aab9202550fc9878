"""When a scenario's phases took place, given when its events did."""

from __future__ import annotations

from collections.abc import Mapping

from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import END, RUN, START, EventTime


def windows(
    spec: ScenarioSpec, event_times: Mapping[str, EventTime], ended_us: int | None = None
) -> tuple[Window, ...]:
    """The phases as they took place, the whole run first; none has a part of the warm-up. ``event_times`` has the
    actual times of events. Phases that depend on an event that never took place are left out; one that a long event
    left no time for is empty. Of a run that ended early, at ``ended_us``, they have what lies before."""
    end_us = spec.duration if ended_us is None else min(ended_us, spec.duration)
    phases = [Window(RUN, min(spec.warmup, end_us), end_us)]
    for name, phase in spec.phases.items():
        if {phase.begin.anchor, phase.end.anchor} <= {START, END, *event_times}:
            first_us, last_us = (point.resolve(event_times, spec.duration) for point in (phase.begin, phase.end))
            first_us = max(first_us, spec.warmup)
            last_us = max(first_us, last_us)
            if ended_us is None:
                phases.append(Window(name, first_us, last_us))
            elif first_us < ended_us:
                phases.append(Window(name, first_us, min(last_us, ended_us)))
    return tuple(phases)
