"""When the events of a timeline happen, as far as that is known beforehand. Pure; the same for the same seed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random

import networkx as nx

from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.conditions import EventCondition
from helsewan.scenarios.spec.timeline.schema import EventSpec
from helsewan.scenarios.spec.timeline.timepoints import END, START, EventTime, TimePoint

STEP_US = 1_000  # of random times: they can be written in a file exactly


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """One occurrence of an event: its name in the history, the timeline's entry, and its time in us from the run's
    start (None: it depends on what happens in the run)."""

    name: str
    entry: str
    at_us: int | None


@dataclass(frozen=True)
class TimelinePlan:
    """All occurrences: those of known time in order, then the others in the file's order. Events at one time happen in
    the file's order."""

    events: tuple[PlannedEvent, ...]

    @cached_property
    def named(self) -> Mapping[str, PlannedEvent]:
        """The occurrences by name."""
        return {event.name: event for event in self.events}

    @property
    def known_times(self) -> dict[str, EventTime]:
        """The times of those events whose time is known, as if none took any time."""
        return {event.name: EventTime(event.at_us, event.at_us) for event in self.events if event.at_us is not None}


def occurrence_names(name: str, event: EventSpec) -> list[str]:
    """The names of an event's occurrences: its own, and ``name.2``, ``name.3``, … of a periodic one."""
    return [name, *(f"{name}.{number}" for number in range(2, (event.times or 1) + 1))]


def time_points(event: EventSpec) -> Iterator[tuple[tuple[str | int, ...], TimePoint]]:
    """The points in time that an event is given by, with their place below it."""
    for key in ("at", "after", "deadline"):
        point = getattr(event, key)
        if point is not None:
            yield (key,), point
    for number, point in enumerate(event.between or ()):
        yield ("between", number), point


def _events_of(event: EventSpec) -> set[str | None]:
    """The events that a time is relative to, None for the run itself."""
    return {point.event for _, point in time_points(event)}


def circles(spec: ScenarioSpec) -> Iterator[list[str]]:
    """Entries that wait for each other, each for the next."""
    entry_of = {name: entry for entry, event in spec.timeline.items() for name in occurrence_names(entry, event)}
    graph = nx.DiGraph()
    graph.add_nodes_from(spec.timeline)
    for entry, event in spec.timeline.items():
        waits_for = [point.event for _, point in time_points(event)]
        if isinstance(event.when, EventCondition):
            waits_for.append(event.when.event)
        graph.add_edges_from((entry, entry_of[name]) for name in waits_for if name in entry_of)
    entries = list(spec.timeline)
    for part in nx.strongly_connected_components(graph):
        circle = sorted(part, key=entries.index)
        if len(circle) > 1 or graph.has_edge(circle[0], circle[0]):
            yield [edge[0] for edge in nx.find_cycle(graph.subgraph(part), circle[0])]


def broken_entries(spec: ScenarioSpec) -> frozenset[str]:
    """Entries whose times are relative to events that do not exist, or in a circle."""
    names = {name for entry, event in spec.timeline.items() for name in occurrence_names(entry, event)}
    vain = {entry for entry, event in spec.timeline.items() if not _events_of(event) <= {None, *names}}
    return frozenset(vain).union(*circles(spec))


def plan_timeline(spec: ScenarioSpec) -> TimelinePlan:
    """The plan of a scenario's timeline. Broken entries, which are refused (`timeline.problems`), are planned as if
    their times were not known."""
    planner = _Planner(spec, broken_entries(spec))
    entries = list(spec.timeline)
    events = [
        PlannedEvent(occurrence, name, planner.time_us(occurrence))
        for name, event in spec.timeline.items()
        for occurrence in occurrence_names(name, event)
    ]
    known = [event for event in events if event.at_us is not None]
    known.sort(key=lambda event: (event.at_us, entries.index(event.entry)))
    return TimelinePlan((*known, *(event for event in events if event.at_us is None)))


class _Planner:
    def __init__(self, spec: ScenarioSpec, broken: Collection[str]) -> None:
        self._spec, self._broken = spec, broken
        self._entry_of = {
            occurrence: (name, number)
            for name, event in spec.timeline.items()
            for number, occurrence in enumerate(occurrence_names(name, event))
        }
        self._found: dict[str, int | None] = {}

    def time_us(self, occurrence: str) -> int | None:
        """The time of an occurrence; None if it is not known beforehand."""
        if occurrence not in self._found:
            name, number = self._entry_of[occurrence]
            first_us = None if name in self._broken else self._first_us(name, self._spec.timeline[name])
            every_us = self._spec.timeline[name].every or 0
            self._found[occurrence] = None if first_us is None else first_us + number * every_us
        return self._found[occurrence]

    def _first_us(self, name: str, event: EventSpec) -> int | None:
        if event.at is not None:
            return self._point_us(event.at)
        if event.between is not None:
            bounds = [self._point_us(point) for point in event.between]
            if bounds[0] is None or bounds[1] is None:
                return None
            steps = max(bounds[1] - bounds[0], 0) // STEP_US
            return bounds[0] + STEP_US * Random(f"{self._spec.network.seed}/timeline/{name}").randint(0, steps)
        return None

    def _point_us(self, point: TimePoint) -> int | None:
        if point.anchor == START:
            return point.offset_us
        at_us = self._spec.duration if point.anchor == END else self.time_us(point.anchor)
        return None if at_us is None else at_us + point.offset_us


@dataclass(frozen=True, slots=True)
class Step:
    """An event of known time begins, or what it began ends; ``at_us`` from the run's start."""

    at_us: int
    name: str
    entry: str
    begins: bool


def known_steps(spec: ScenarioSpec, plan: TimelinePlan) -> tuple[Step, ...]:
    """The steps of known time in order: beginnings, ends after ``for`` and of ``flap``, and ends by other events."""
    steps: list[tuple[int, int, Step]] = []
    order = {entry: number for number, entry in enumerate(spec.timeline)}
    for event in plan.events:
        if event.at_us is None:
            continue
        entry, rank = spec.timeline[event.entry], order[event.entry]
        if entry.end is not None:
            ended = plan.named.get(entry.end)
            if ended is not None:
                steps.append((event.at_us, rank, Step(event.at_us, ended.name, ended.entry, begins=False)))
            continue
        steps.append((event.at_us, rank, Step(event.at_us, event.name, event.entry, begins=True)))
        lasts_us = entry.lasts if entry.flap is None else entry.flap.lasts
        if lasts_us is not None:
            end_us = event.at_us + lasts_us
            steps.append((end_us, rank, Step(end_us, event.name, event.entry, begins=False)))
    return tuple(step for _, _, step in sorted(steps, key=lambda each: each[:2]))
