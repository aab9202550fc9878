"""Whether the conditions hold that events of a timeline wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.links.repair import RepairMonitor
from helsewan.scenarios.events.live_figures import FlowSource, LiveFigures, Selection
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.conditions import Condition, EventCondition, MetricCondition
from helsewan.scenarios.spec.timeline.schema import FAILURES


class Conditions:
    """The conditions of ``spec``'s timeline, over the ``flows`` whose records ``source`` has; ``monitor_repair`` begins
    to look for a repair."""

    def __init__(
        self,
        spec: ScenarioSpec,
        flows: Sequence[FlowSpec],
        source: FlowSource,
        monitor_repair: Callable[[], RepairMonitor],
    ) -> None:
        spans = [event.when.over for event in spec.timeline.values() if isinstance(event.when, MetricCondition)]
        self._figures = LiveFigures(flows, source, max(spans)) if spans else None
        self._spec, self._monitor_repair = spec, monitor_repair
        self._has_new_figures = False
        self._monitors: dict[str, RepairMonitor] = {}

    def update(self, now_us: int) -> None:
        """Take in what has happened up to ``now_us``, from the run's start."""
        self._has_new_figures = self._figures is not None and self._figures.update(now_us)

    def holds(self, name: str, condition: Condition, begun: Mapping[str, str]) -> bool:
        """Whether the condition that the event ``name`` waits for holds. ``begun``: the events that have
        taken place, each with its entry of the timeline."""
        if isinstance(condition, EventCondition):
            return condition.event in begun
        if isinstance(condition, MetricCondition):
            if self._figures is None or not self._has_new_figures:
                return False
            selection = Selection(condition.cls, condition.traffic)
            return condition.limit.holds(self._figures.value(condition.metric, selection, condition.over))
        if name not in self._monitors:
            if not any(self._spec.timeline[entry].action in FAILURES for entry in begun.values()):
                return False  # nothing has failed yet
            self._monitors[name] = self._monitor_repair()
        return self._monitors[name].is_repaired

    def forget(self, name: str) -> None:
        """The event ``name`` waits no more."""
        if name in self._monitors:
            self._monitors.pop(name).close()

    def close(self) -> None:
        """End what still looks for repairs. Idempotent."""
        for name in list(self._monitors):
            self.forget(name)
