"""Actions that ask the controller for a change: of policy, with exceptions and quarantines, and of what is in
service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from helsewan.controller.northbound.controller_client import Declined, Unreachable
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.analysis.changes import changes
from helsewan.scenarios.events.effects import Effect, Occurrence, Poll
from helsewan.scenarios.spec.timeline.policies import PolicyState, PolicyStates

_BY = {"door": "scenario"}
_SWITCHED = "policy-switched"
_PATIENCE_S, _RETRY_S = 20.0, 0.2
Answer = TypeVar("Answer")


class ChangeFailed(RuntimeError):
    """The controller did not make a change; the message is its reason, or that it cannot be reached."""


class PolicyActions:
    """Requests to the controller of ``testbed``, one at a time in a thread of its own; ``states`` has the policies."""

    def __init__(self, testbed: Testbed, states: PolicyStates) -> None:
        self._states, self._client = states, testbed.controllers.client()
        self._answers_neighbours = testbed.plan.answers_neighbours
        self._requests = ThreadPoolExecutor(1, thread_name_prefix="controller-requests")
        self._requests.submit(time.time_ns).result()  # the thread is there before this one gets real-time priority
        self._closing = threading.Event()
        self._bases: dict[str, str] = {}  # entries of the policies in force by event, the last one on top
        self._added: dict[str, str] = {}  # entries of exceptions and quarantines in force, by event
        self._in_force = states.initial
        self._withdrawn: dict[str, str] = {}  # places out of service, by event

    def change(self, its: Occurrence) -> Effect:
        """Put a policy, an exception or a quarantine in force."""
        kind = self._bases if its.event.policy is not None else self._added
        kind[its.name] = its.entry

        def undo() -> Effect:
            del kind[its.name]
            return Effect(self._request(self._apply))

        return Effect(self._request(self._apply), undo)

    def withdraw(self, its: Occurrence) -> Effect:
        """Take a link or PoP out of service."""
        spec = its.event.withdraw
        assert spec is not None
        self._withdrawn[its.name] = f"{spec.chosen}:{getattr(spec, spec.chosen)}"

        def undo() -> Effect:
            del self._withdrawn[its.name]
            return Effect(self._request(self._withdraw))

        return Effect(self._request(self._withdraw), undo)

    def close(self) -> None:
        """End the thread, without the requests that wait in it. Idempotent."""
        self._closing.set()
        self._requests.shutdown(wait=False, cancel_futures=True)

    def _request(self, make: Callable[[], Callable[[], object]]) -> Poll:
        """Make a request; the poll returns when it was made, once it is answered, and raises its error."""
        began_ns, answer = time.time_ns(), self._requests.submit(make())

        def poll() -> int | None:
            if not answer.done():
                return None
            try:
                answer.result()
            except (Unreachable, Declined) as error:
                raise ChangeFailed(str(error)) from error
            return began_ns

        return poll

    def _apply(self) -> Callable[[], object]:
        base = list(self._bases.values())[-1] if self._bases else ""
        state = PolicyState(base, frozenset(self._added.values()))
        return lambda: self._put_in_force(state)

    def _put_in_force(self, state: PolicyState) -> None:
        plan = self._states.plan(state)  # compiled beforehand, if its time was known
        if plan is self._in_force:
            return
        proposed = replace(plan, answers_neighbours=self._answers_neighbours)
        texts = changes(self._in_force.source, plan.source)
        outcome = self._patiently(lambda: self._client.apply(proposed, _BY, "", texts))
        if outcome["event"] != _SWITCHED:
            raise ChangeFailed(f"policy {plan.policy} was refused: {outcome.get('reason', outcome['event'])}")
        self._in_force = plan

    def _withdraw(self) -> Callable[[], object]:
        places = frozenset(self._withdrawn.values())
        return lambda: self._patiently(lambda: self._client.withdraw(places, _BY))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """The answer to a request that is made again while no controller can be reached: one may be about to lead, or
        to be restarted. Raises Unreachable and Declined."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return ask()
            except Unreachable:
                if time.monotonic() > deadline or self._closing.wait(_RETRY_S):
                    raise
