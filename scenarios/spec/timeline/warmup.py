"""What is wrong with a scenario's warm-up, as far as the file alone shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.units import format_duration
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import START, EventTime, TimePoint


def warmup_problems(spec: ScenarioSpec, document: Document, event_times: Mapping[str, EventTime]) -> Iterator[Problem]:
    """A warm-up that leaves nothing of the run, and phases that reach into it; ``event_times``: those that are known
    beforehand. A phase from the start begins with the end of the warm-up."""
    shown = format_duration(spec.warmup)
    if spec.warmup >= spec.duration:
        hint = f"it ends at {format_duration(spec.duration)}"
        yield Problem(document.where(("warmup",)), shown, "leaves nothing of the run", hint)
        return
    for name, phase in spec.phases.items():
        if not {phase.begin.event, phase.end.event} <= {None, *event_times}:
            continue
        begin_us, end_us = (point.resolve(event_times, spec.duration) for point in (phase.begin, phase.end))
        if begin_us < spec.warmup and phase.begin != TimePoint(START):
            hint = f"let it begin at {shown} or later, or at start, which means the same"
            yield Problem(document.where(("phases", name, "from")), str(phase.begin), "is within the warm-up", hint)
        elif begin_us < end_us <= spec.warmup:
            where = document.where(("phases", name, "to"))
            yield Problem(where, str(phase.end), "ends within the warm-up", f"end it later than {shown}")
