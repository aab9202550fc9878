"""When a scenario's phases took place."""

from __future__ import annotations

from collections.abc import Mapping

from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import RUN
from helsewan.scenarios.spec.timepoints import END, START, Moment


def windows(spec: ScenarioSpec, moments: Mapping[str, Moment]) -> tuple[Window, ...]:
    """The phases as they took place, the whole run first; ``moments`` says when each event of the timeline
    really did. Phases that depend on an event that never took place are left out; one that an overlong
    event left no time for is empty."""
    phases = [Window(RUN, 0, spec.duration)]
    for name, phase in spec.phases.items():
        if {phase.begin.anchor, phase.end.anchor} <= {START, END, *moments}:
            begin_us, end_us = (point.resolve(moments, spec.duration) for point in (phase.begin, phase.end))
            phases.append(Window(name, begin_us, max(begin_us, end_us)))
    return tuple(phases)
