"""What actions ask of a network, and what undoing them asks, where events overlap: on a network that only remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from timeline_case import plan, prepare

from helsewan.lab.testbed.failure_state import FailureState, Target
from helsewan.scenarios.events.actions import Actions
from helsewan.scenarios.events.conditions import Conditions
from helsewan.scenarios.events.effects import Effect
from helsewan.scenarios.spec.timeline.schema import ACTIONS

LINK = "{link: oslo-hamar}"


class Remembered:
    """A testbed whose failures are real, and whose routers boot when they are told to."""

    def __init__(self) -> None:
        self.state = FailureState(plan().network)
        self.programmed = False
        self.abandoned: list[Target] = []
        self.testbed = MagicMock()
        self.testbed.network = plan().network
        self.testbed.fail = self.fail
        self.testbed.faults.boot = lambda target: MagicMock(target=target, routers=target.routers)
        self.testbed.faults.is_programmed = lambda boot: self.programmed or not boot.routers
        self.testbed.faults.finish = lambda boot: self.restore(boot.target)
        self.testbed.faults.abandon = lambda boot: self.abandoned.append(boot.target)

    def fail(self, target: Target) -> int:
        self.state.fail(target)
        return 1

    def restore(self, target: Target) -> int:
        self.state.restore(target)
        return 2


@pytest.fixture
def remembered() -> Remembered:
    return Remembered()


def actions_of(remembered: Remembered, *events: str) -> Actions:
    scenario, timeline = prepare(*events)
    return Actions(remembered.testbed, scenario.spec, timeline, Path(), lambda *_, **__: None)


def settled(effect: Effect) -> Iterator[Any]:
    """Polls an effect until it has come about."""
    while (at_ns := effect.poll()) is None:
        yield None
    yield at_ns


def undo(effect: Effect) -> None:
    assert effect.undo is not None
    for _ in settled(effect.undo()):
        pass


def test_every_action_of_the_grammar_is_done_but_ends(remembered: Remembered) -> None:
    assert set(actions_of(remembered, "a: {at: 1 s, mark: x}")._do) == set(ACTIONS) - {"end"}


def test_an_undone_failure_leaves_what_others_failed(remembered: Remembered) -> None:
    actions = actions_of(remembered, "a: {at: 1 s, fail: {router: bodo}}", "b: {at: 2 s, fail: {region: nord}}")
    one, other = actions.begin("a", "a"), actions.begin("b", "b")
    remembered.programmed = True
    undo(other)
    assert remembered.state.routers == {"bodo"}
    undo(one)
    assert remembered.state.routers == frozenset() and remembered.state.failed_links == frozenset()


def test_what_was_restored_is_not_restored_again(remembered: Remembered) -> None:
    actions = actions_of(
        remembered,
        f"a: {{at: 1 s, fail: {LINK}}}",
        f"b: {{at: 2 s, restore: {LINK}}}",
        f"c: {{at: 3 s, fail: {LINK}, undo: keep}}",
    )
    first = actions.begin("a", "a")
    list(settled(actions.begin("b", "b")))
    actions.begin("c", "c")
    undo(first)
    assert remembered.state.failed_links == {"oslo-hamar"}


def test_a_router_that_fails_while_it_boots_is_off_again(remembered: Remembered) -> None:
    actions = actions_of(
        remembered,
        "a: {at: 1 s, fail: {router: bodo}}",
        "b: {at: 2 s, restore: {router: bodo}}",
        "c: {at: 9 s, fail: {router: bodo}}",
    )
    actions.begin("a", "a")
    booting = actions.begin("b", "b")
    assert booting.poll() is None
    again = actions.begin("c", "c")
    assert booting.poll() is not None and [target.routers for target in remembered.abandoned] == [("bodo",)]
    assert remembered.state.routers == {"bodo"}
    remembered.programmed = True
    undo(again)
    assert remembered.state.routers == frozenset()


def test_a_failure_ended_while_it_is_restored_boots_once(remembered: Remembered) -> None:
    actions = actions_of(remembered, "a: {at: 1 s, fail: {router: bodo}}", "b: {at: 2 s, restore: {router: bodo}}")
    failure = actions.begin("a", "a")
    booting = actions.begin("b", "b")
    undo(failure)
    assert remembered.state.routers == {"bodo"}, "it boots still"
    remembered.programmed = True
    list(settled(booting))
    assert remembered.state.routers == frozenset()


def test_a_repair_is_looked_for_once_something_has_failed() -> None:
    scenario, _ = prepare(f"a: {{at: 1 s, fail: {LINK}}}", "b: {when: repaired, deadline: 9 s, mark: b}")
    monitor = MagicMock(is_repaired=False)
    begin = MagicMock(return_value=monitor)
    conditions = Conditions(scenario.spec, (), MagicMock(), begin)
    assert not conditions.holds("b", "repaired", {}) and not begin.called
    assert not conditions.holds("b", "repaired", {"a": "a"}) and begin.call_count == 1
    monitor.is_repaired = True
    assert conditions.holds("b", "repaired", {"a": "a"}) and begin.call_count == 1
    conditions.close()
    assert monitor.close.called
