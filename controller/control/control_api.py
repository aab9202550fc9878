"""The requests that the northbound server may send to the controller.

Requests are answered in the thread that works the controller's queue; the calling thread waits for it. They only look
up state there, except for a change of policy, which computes the same as any other change.
"""

from __future__ import annotations

import base64
import pickle
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helsewan.common.errors import InputError
from helsewan.controller.framework import Queue, QueueEmpty
from helsewan.controller.update.network_state import links_of
from helsewan.controller.update.policy_change import Origin, describe_failures

if TYPE_CHECKING:
    from helsewan.controller.app import HealthNetController

ANSWER_S = 5.0  # timeout of a look-up, and of a switch's reply with counters
CHANGE_S = 120.0  # timeout of a policy change, until it is rolled out or refused
_OUTCOMES = ("policy-switched", "policy-refused")


class RequestRefused(Exception):
    """The request cannot be answered; the message is the reason."""


class Busy(Exception):
    """The controller is busy; the request may be repeated later."""


class ControlApi:
    """Answers requests about ``app``, from any thread. `on_event` must be called for every event."""

    def __init__(self, read_plan: Callable[[Path], Any]) -> None:
        self.app: HealthNetController  # set before the first request
        self._read_plan = read_plan
        self._events: Counter[str] = Counter()
        self._awaited: dict[str, Any] = {}

    def on_event(self, event: str, details: Mapping[str, Any]) -> None:
        """Counts an event; one that is the outcome of a request goes to the thread that waits for it."""
        self._events[event] += 1
        waiting = self._awaited.pop(details.get("request") or "", None) if event in _OUTCOMES else None
        if waiting is not None:
            waiting.put({"event": event, **details})

    def answer(self, request: Mapping[str, Any]) -> Any:
        """The answer to a request, as JSON values. Raises RequestRefused, Busy, or any exception that a wrong argument
        causes."""
        operation = _OPERATIONS.get(str(request.get("ask")))
        if operation is None:
            raise RequestRefused(f"no such request: {request.get('ask')!r}")
        try:
            return operation(self, **{name: value for name, value in request.items() if name != "ask"})
        except TypeError as error:  # unexpected or missing arguments
            raise RequestRefused(str(error)) from None

    def state(self) -> dict[str, Any]:
        """The network's state as known to the controller."""
        state: dict[str, Any] = self._in_queue_thread(self._state)
        return state

    def _state(self) -> dict[str, Any]:
        reconciler, network = self.app.reconciler, self.app.plan.network
        live = reconciler.live
        routers = {}
        for router in network.router:
            edge, core = reconciler.current.access[router], reconciler.current.core[router]
            routers[router] = {
                "connected": router in live.up_ports,
                "programmed": router in live.ready,
                "flows": len(edge.flows) + len(core.flows),
                "groups": len(edge.groups) + len(core.groups),
                "meters": len(edge.meters) + len(core.meters),
            }
        return {
            **reconciler.active_policy.details,
            "digest": reconciler.active_policy.plan.digest,
            "phase": reconciler.phase.name.lower(),
            "routers": routers,
            "links_down": sorted(link.id for link in network.links if not live.link_is_up(link.id)),
            "withdrawn": {place: sorted(links_of(network, place)) for place in sorted(live.withdrawn)},
            "paths": describe_failures(reconciler.current.failures),
            "audit": self._audit_ages(),
            "events": dict(self._events),
            "cpu_seconds": time.process_time(),
        }

    def _audit_ages(self) -> dict[str, Any]:
        """By router: the seconds since its tables were last found to match their target."""
        now = time.monotonic()
        return {router: round(now - at, 3) for router, at in self.app.reconciler.audit.verified_at.items()}

    def apply(self, plan: str, by: dict[str, Any], expects: str, changes: list[str], request: str) -> dict[str, Any]:
        """Changes to the plan in the file ``plan``; returns the event that reports the outcome."""
        try:
            requested = self._read_plan(Path(plan))
        except (InputError, OSError, pickle.UnpicklingError) as error:
            raise RequestRefused(str(error)) from None
        waiting = self._awaited[request] = Queue(1)
        self.app.change_plan(requested, Origin(by, expects, tuple(changes), request))
        try:
            return dict(waiting.get(timeout=CHANGE_S))
        except QueueEmpty:
            self._awaited.pop(request, None)
            raise RequestRefused(f"the change was not completed within {CHANGE_S:g} s") from None

    def refused(self, policy: str, reason: str, by: dict[str, Any]) -> None:
        """Reports that the northbound server refused a policy, with the same event as the controller's own refusals."""
        self.app.emit("policy-refused", {"policy": policy, "reason": reason, **Origin(by).details})

    def withdraw(self, places: list[str], by: dict[str, Any]) -> None:
        """Takes these links and PoPs out of service, and puts all others back."""
        if unknown := [place for place in places if not links_of(self.app.plan.network, place)]:
            raise RequestRefused(f"no such link or PoP: {', '.join(unknown)}")
        self._in_queue_thread(lambda: self.app.withdraw(frozenset(places), Origin(by)))

    def counters(self, router: str, cookie: int, mask: int) -> str:
        """A switch's flows whose cookies are ``cookie`` under ``mask``, with their counters: the body of an OpenFlow
        flow statistics reply, in base64."""
        reply = Queue(1)
        if not self._in_queue_thread(lambda: self.app.poll(router, cookie, mask, reply.put)):
            raise RequestRefused(f"{router} is not connected")
        try:
            return base64.b64encode(reply.get(timeout=ANSWER_S)).decode()
        except QueueEmpty:
            raise RequestRefused(f"{router} does not report its counters") from None

    def _in_queue_thread(self, function: Callable[[], Any]) -> Any:
        """Calls ``function`` in the thread that works the queue, where nothing changes meanwhile; returns its result
        or raises its exception."""
        result = Queue(1)

        def call() -> None:  # an exception must not end that thread, which programs the network
            try:
                result.put((function(), None))
            except Exception as error:
                result.put((None, error))

        self.app.inbox.put(call)
        try:
            value, error = result.get(timeout=ANSWER_S)
        except QueueEmpty:
            raise Busy("the controller is busy") from None
        if error is not None:
            raise error
        return value


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "state": ControlApi.state,
    "apply": ControlApi.apply,
    "refused": ControlApi.refused,
    "withdraw": ControlApi.withdraw,
    "counters": ControlApi.counters,
}
