"""A timeline as text in a small scenario, read, prepared on the national network, and followed on a clock that only
waiting moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from scenario_case import case_of

from helsewan.common.document import Document, loads
from helsewan.common.errors import InputError
from helsewan.common.run_clock import RunClock
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.compile import library_path
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.scenarios.events.actions import Actions
from helsewan.scenarios.events.conditions import Conditions
from helsewan.scenarios.events.effects import Effect, UndoStack, done
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.rule_reader import RuleReader
from helsewan.scenarios.run.timeline import Timeline
from helsewan.scenarios.spec.spec import Scenario, read_scenario
from helsewan.scenarios.spec.timeline.prepare import PreparedTimeline, prepare_timeline
from helsewan.scenarios.spec.timeline.timepoints import EventTime

TEXT = """\
name: small
description: A scenario for tests.
network: {{sites: 260, seed: 2006}}
policy: national
duration: 30 s
timeline:
{timeline}
{more}
traffic:
  calls: {{kind: voice, service: voice, count: 4, from: {{kind: [hospital]}}, to: {{kind: [hospital]}}}}
checks:
  heard: {{metric: received, class: voice, over: together, limit: "> 0"}}
"""
FIRST_LINE = 7  # of the timeline in the text


def text_of(*events: str, more: str = "") -> str:
    """The scenario whose timeline has these lines; ``more`` is between it and the traffic."""
    return TEXT.format(timeline="\n".join(f"  {event}" for event in events), more=more)


def read(*events: str, more: str = "", name: str = "small.yaml", **settings: str) -> Scenario:
    """The scenario. Raises InputError."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return read_scenario(loads(text_of(*events, more=more).encode(), name), named)


def problems(*events: str, more: str = "") -> list[str]:
    """What is wrong with it, as far as the file alone shows it."""
    with pytest.raises(InputError) as caught:
        read(*events, more=more)
    return [str(problem) for problem in caught.value.problems]


@cache
def plan() -> Plan:
    """The national policy on the network of region-failover."""
    return case_of("region-failover")[1]


def prepare(*events: str, name: str = "small.yaml") -> tuple[Scenario, PreparedTimeline]:
    """The scenario, and what its timeline needs. Raises InputError."""
    scenario = read(*events, name=name)
    document: Document = scenario.document
    return scenario, prepare_timeline(scenario.spec, plan(), library_path("national"), document, utc_now())


def refusals(*events: str, name: str = "small.yaml") -> list[str]:
    """What is wrong with it on the network and with the policy."""
    with pytest.raises(InputError) as caught:
        prepare(*events, name=name)
    return [str(problem) for problem in caught.value.problems]


class SteppedClock:
    """A run's clock that only `until` moves; each action takes 1 ms."""

    def __init__(self) -> None:
        self.time_ns = 0

    def now_ns(self) -> int:
        return self.time_ns

    def of_stamp(self, realtime_ns: int) -> int:
        return realtime_ns

    def until(self, time_ns: int) -> None:
        self.time_ns = max(self.time_ns, time_ns)


@dataclass
class RecordedActions:
    """Actions that only tell what they were asked, and when (us); those of ``slow`` take so long (us)."""

    clock: SteppedClock
    entries: Any
    slow: dict[str, int] = field(default_factory=dict)
    begun: list[tuple[str, int]] = field(default_factory=list)
    undone: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, name: str, entry: str) -> Effect:
        self.begun.append((name, self.clock.time_ns // 1000))
        self.clock.time_ns += 1_000_000
        at_ns = self.clock.time_ns
        flap = self.entries[entry].flap
        steps: list[tuple[int, Callable[[], object]]] = []
        if flap is not None:
            steps = [
                (flap.down, lambda: self.begun.append((f"{name} up", self.clock.time_ns // 1000))),
                (flap.down + flap.up, lambda: self.begun.append((f"{name} down", self.clock.time_ns // 1000))),
            ]
        takes_ns = self.slow.get(entry, 0) * 1000
        return Effect(lambda: at_ns if self.clock.time_ns >= at_ns + takes_ns else None, self._undo(name), tuple(steps))

    def target(self, entry: str) -> Target:
        return Target(entry)

    def _undo(self, name: str) -> Callable[[], Effect]:
        def undo() -> Effect:
            self.undone.append((name, self.clock.time_ns // 1000))
            return done(self.clock.time_ns)

        return undo


class RecordedReader:
    """A rule reader that tells when rules are read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def wait_answered(self) -> None:
        pass

    def start(self, name: str) -> None:
        self.read.append(name)


class SwitchedConditions:
    """Conditions that hold from given times on (us), by event."""

    def __init__(self, from_us: dict[str, int]) -> None:
        self._from_us, self._now_us = from_us, 0

    def update(self, now_us: int) -> None:
        self._now_us = now_us

    def holds(self, name: str, condition: object, begun: dict[str, str]) -> bool:
        event = getattr(condition, "event", None)
        return event in begun if event is not None else self._now_us >= self._from_us.get(name, 10**12)

    def forget(self, name: str) -> None:
        pass


@dataclass
class Followed:
    """What came of following a timeline."""

    times: dict[str, EventTime]
    begun: list[tuple[str, int]]
    undone: list[tuple[str, int]]
    history: list[dict[str, Any]]
    rules: list[str]
    undo: UndoStack
    actions: RecordedActions


def follow(
    *events: str,
    more: str = "",
    holds: dict[str, int] | None = None,
    slow: dict[str, int] | None = None,
    **settings: str,
) -> Followed:
    """Follow the timeline; conditions of events hold from ``holds`` on (us), entries ``slow`` take so long (us)."""
    scenario = read(*events, more=more, **settings)
    timeline = prepare_timeline(scenario.spec, plan(), library_path("national"), scenario.document, utc_now())
    clock, reader = SteppedClock(), RecordedReader()
    actions = RecordedActions(clock, scenario.spec.timeline, slow or {})
    history: list[dict[str, Any]] = []

    def record(event: str, **facts: object) -> None:
        history.append({"event": event, **facts})

    undo = UndoStack(record)
    job = Job(scenario, plan(), timeline, cast(Any, None), Path(), False, cast(Any, None), {})
    times = Timeline(
        job,
        cast(Actions, actions),
        undo,
        cast(Conditions, SwitchedConditions(holds or {})),
        cast(RuleReader, reader),
        cast(RunClock, clock),
        clock.until,
        record,
        lambda text: None,
    ).follow(0)
    return Followed(times, actions.begun, actions.undone, history, reader.read, undo, actions)
