"""Follows a scenario's timeline: does every event when it is due or its condition holds, and reads the switches' rules
between. The timeline's order is kept even when an event is late."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

from helsewan.common.run_clock import RunClock
from helsewan.common.units import format_duration
from helsewan.scenarios.events.actions import Actions
from helsewan.scenarios.events.conditions import Conditions
from helsewan.scenarios.events.effects import Effect, UndoStack
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.rule_reader import RuleReader
from helsewan.scenarios.spec.checks.schema import VerifySpec
from helsewan.scenarios.spec.timeline.conditions import EventCondition
from helsewan.scenarios.spec.timeline.plan import PlannedEvent, occurrence_names, time_points
from helsewan.scenarios.spec.timeline.timepoints import END, START, EventTime, TimePoint

POLL_US = 10_000  # between two looks at conditions, and at actions that take long


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event whose condition is looked at from ``from_us`` to ``until_us``, from the run's start."""

    event: PlannedEvent
    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class _Going:
    """An event whose action was begun at ``began_us``, and has not taken effect yet."""

    event: PlannedEvent
    planned_us: int
    began_us: int
    effect: Effect
    ends: bool = False  # it is what ``for`` does at its end


class Timeline:
    """The timeline of ``job``, whose ``actions`` are pushed on ``undo``. ``until`` waits for a time on ``clock`` (ns)
    and may raise what ends the run; ``record`` writes into the run's history, ``say`` tells people."""

    def __init__(
        self,
        job: Job,
        actions: Actions,
        undo: UndoStack,
        conditions: Conditions,
        reader: RuleReader,
        clock: RunClock,
        until: Callable[[int], None],
        record: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        self._spec, self._plan = job.scenario.spec, job.timeline.plan
        self._actions, self._undo, self._conditions, self._reader = actions, undo, conditions, reader
        self._clock, self._until, self._record, self._say = clock, until, record, say
        self._rules = (self._spec.verify or VerifySpec.model_construct()).rules
        self._scheduled_rules: set[str] = set()
        self._order = {entry: number for number, entry in enumerate(self._spec.timeline)}
        self._due: list[tuple[int, int, int, Callable[[int], None]]] = []
        self._unplanned = [event for event in self._plan.events if event.at_us is None]
        self._waiting: list[_Waiting] = []
        self._going: list[_Going] = []
        self._begun_us: dict[str, int] = {}
        self._missed: set[str] = set()
        self._times: dict[str, EventTime] = {}
        self._numbers = count()
        self._epoch_ns = 0

    @property
    def times(self) -> dict[str, EventTime]:
        """The time of each event that has taken place so far."""
        return self._times

    def follow(self, epoch_ns: int) -> dict[str, EventTime]:
        """Follow the timeline to the end of the run; returns the time of each event that took place."""
        self._epoch_ns, end_us = epoch_ns, self._spec.duration
        for event in self._plan.events:
            if event.at_us is not None:
                self._schedule(event.at_us, event.entry, partial(self._take_place, event))
        known = self._plan.known_times
        for name, point in self._rules.items():
            if point.event is None or (point.event in known and point.offset_us <= 0):
                self._schedule_rules(name, point.resolve(known, end_us))
        self._plan_further()
        while (now_us := self._now_us()) < end_us:
            if self._due and self._due[0][0] <= now_us:
                due_us, _, _, do = heapq.heappop(self._due)
                do(due_us)
                continue
            self._look(now_us)
            next_us = min(self._due[0][0] if self._due else end_us, end_us)
            if self._waiting or self._going:
                next_us = min(next_us, now_us + POLL_US)
            self._until(epoch_ns + next_us * 1000)
        while self._due and self._due[0][0] <= end_us:  # rules are read at the end, too
            due_us, _, _, do = heapq.heappop(self._due)
            do(due_us)
        self._finish()
        return self._times

    def _now_us(self) -> int:
        return (self._clock.now_ns() - self._epoch_ns) // 1000

    def _schedule(self, at_us: int, entry: str | None, do: Callable[[int], None]) -> None:
        """``do`` is called with the time at which it is due; at one time in the timeline's order, rules read last."""
        rank = len(self._order) if entry is None else self._order[entry]
        heapq.heappush(self._due, (at_us, rank, next(self._numbers), do))

    def _plan_further(self) -> None:
        """Schedule the events whose time is known by now, let those wait whose condition can be looked at, and give up
        those that refer to an event that did not take place."""
        for event in list(self._unplanned):
            if event not in self._unplanned:  # given up with another one, meanwhile
                continue
            entry = self._spec.timeline[event.entry]
            points = [point for _, point in time_points(entry)]
            if lost := next((point.anchor for point in points if point.anchor in self._missed), None):
                self._unplanned.remove(event)
                self._miss(event, f"{lost} did not take place")
                continue
            times_us = [self._time_us(point) for point in points]
            if None in times_us:
                continue
            self._unplanned.remove(event)
            if entry.when is not None:
                from_us = 0 if entry.after is None else self._time_us(entry.after)
                until_us = self._time_us(entry.deadline) if entry.deadline is not None else None
                assert from_us is not None and until_us is not None
                self._waiting.append(_Waiting(event, from_us, min(until_us, self._spec.duration)))
            else:
                assert entry.at is not None and times_us[0] is not None  # bounds of random times are known beforehand
                number = occurrence_names(event.entry, entry).index(event.name)
                at_us = times_us[0] + number * (entry.every or 0)
                self._schedule(at_us, event.entry, partial(self._take_place, event))

    def _time_us(self, point: TimePoint) -> int | None:
        """When a point in time is, as far as that is known by now."""
        if point.anchor in (START, END):
            return point.offset_us + (self._spec.duration if point.anchor == END else 0)
        planned_us = self._plan.named[point.anchor].at_us
        anchor_us = self._begun_us.get(point.anchor) if planned_us is None else planned_us
        return None if anchor_us is None else anchor_us + point.offset_us

    def _look(self, now_us: int) -> None:
        """Do the events whose condition holds, give up those whose deadline has passed, and find out which actions have
        taken effect."""
        self._settle()
        if not self._waiting:
            return
        self._conditions.update(now_us)
        for waiting in list(self._waiting):
            condition = self._spec.timeline[waiting.event.entry].when
            assert condition is not None
            name = waiting.event.name
            if isinstance(condition, EventCondition) and condition.event in self._missed:
                self._stop_waiting(waiting)
                self._miss(waiting.event, f"{condition.event} did not take place")
            elif now_us >= waiting.until_us:
                self._stop_waiting(waiting)
                self._miss(waiting.event, f"its condition did not hold by {format_duration(waiting.until_us)}")
            elif now_us >= waiting.from_us and self._conditions.holds(name, condition, self._begun):
                self._stop_waiting(waiting)
                self._take_place(waiting.event, now_us)

    def _stop_waiting(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        self._conditions.forget(waiting.event.name)

    @property
    def _begun(self) -> dict[str, str]:
        """The events that have taken place, each with its entry of the timeline."""
        return {name: self._plan.named[name].entry for name in self._begun_us}

    def _take_place(self, event: PlannedEvent, planned_us: int) -> None:
        """Begin the action of an event."""
        self._reader.wait_answered()  # rules from both before and after the event would prove nothing
        entry, began_us = self._spec.timeline[event.entry], self._now_us()
        if entry.end is not None:
            ended = self._undo.end(entry.end)
            if ended is None:
                self._miss(event, f"{entry.end} did not take place, or has ended already")
                return
            effect = ended
        else:
            effect = self._actions.begin(event.name, event.entry)
        if effect.undo is not None:
            self._undo.push(event.name, effect.undo, keep=entry.undo == "keep")
        for offset_us, step in effect.steps:
            self._schedule(began_us + offset_us, event.entry, partial(self._do_step, event.name, step))
        if entry.lasts is not None:
            self._schedule(began_us + entry.lasts, event.entry, partial(self._end, event))
        self._begun_us[event.name] = began_us
        self._going.append(_Going(event, planned_us, began_us, effect))
        self._settle()
        self._plan_further()

    def _do_step(self, name: str, step: Callable[[], object], due_us: int) -> None:
        if self._undo.holds(name):  # else it was ended before
            self._reader.wait_answered()
            step()

    def _end(self, event: PlannedEvent, due_us: int) -> None:
        """End what an event did, after the time that it lasts."""
        began_us = self._now_us()
        effect = self._undo.end(event.name)
        if effect is not None:
            self._going.append(_Going(event, due_us, began_us, effect, ends=True))
            self._settle()

    def _settle(self) -> None:
        """Record the actions that have taken effect."""
        for going in list(self._going):
            at_ns = going.effect.poll()
            if at_ns is not None:
                self._going.remove(going)
                begun_us = (self._clock.of_stamp(at_ns) - self._epoch_ns) // 1000
                self._has_taken_effect(going, EventTime(begun_us, self._now_us()))

    def _has_taken_effect(self, going: _Going, times: EventTime, **facts: object) -> None:
        name, entry = going.event.name, self._spec.timeline[going.event.entry]
        facts |= {"planned_us": going.planned_us, "begun_us": times.begin_us, "done_us": times.done_us}
        if going.ends:
            self._record("event-ended", of=name, **facts)
            self._say(f"{name} has ended")
            return
        self._times[name] = times
        about = self._actions.target(going.event.entry).name or entry.end or entry.mark or entry.policy or ""
        self._record(name, action=entry.action, target=about, **going.effect.facts, **facts)
        self._say(f"{name}: {entry.action} {about}".rstrip())
        for rules, point in self._rules.items():
            if point.event == name and rules not in self._scheduled_rules:
                self._schedule_rules(rules, point.resolve(self._times, self._spec.duration))

    def _miss(self, event: PlannedEvent, reason: str) -> None:
        self._missed.add(event.name)
        self._record("event-missed", of=event.name, reason=reason)
        self._say(f"{event.name} does not take place: {reason}")
        self._plan_further()

    def _schedule_rules(self, name: str, at_us: int) -> None:
        self._scheduled_rules.add(name)
        self._schedule(at_us, None, partial(self._read_rules, name))

    def _read_rules(self, name: str, due_us: int) -> None:
        self._reader.start(name)
        self._record("rules-read", name=name)

    def _finish(self) -> None:
        """The run is over: give up what still waits."""
        for waiting in list(self._waiting):
            self._stop_waiting(waiting)
            self._miss(waiting.event, "its condition did not hold by the end of the run")
        for event in list(self._unplanned):
            self._unplanned.remove(event)
            self._miss(event, "what it waits for did not happen by the end of the run")
        for going in self._going:
            self._has_taken_effect(going, EventTime(going.began_us, self._spec.duration), unfinished=True)
        self._going.clear()
