"""What the northbound server may ask of the controller, one request and one answer at a time.

The thread that works the controller's queue looks up and decides; here it is only waited for. Nothing asked here
computes anything in that thread but a change of policy, which computes what any does.
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
from helsewan.controller.update.policy_change import Origin, told_of

if TYPE_CHECKING:
    from helsewan.controller.app import HealthNetController

ANSWER_S = 5.0  # for what is only looked up, and for a switch to tell its counters
CHANGE_S = 120.0  # for a policy to be computed and rolled out, or refused
_OUTCOMES = ("policy-switched", "policy-refused")


class RequestRefused(Exception):
    """The request is none that can be answered; the message says why."""


class Busy(Exception):
    """The request may be answered later."""


class ControlApi:
    """Answers requests about ``app``, from any thread. It hears every event (`heard`)."""

    def __init__(self, read_plan: Callable[[Path], Any]) -> None:
        self.app: HealthNetController  # set before the first request
        self._read_plan = read_plan
        self._events: Counter[str] = Counter()
        self._awaited: dict[str, Any] = {}

    def heard(self, event: str, details: Mapping[str, Any]) -> None:
        """Counts an event, and hands it to whoever waits for what becomes of a request."""
        self._events[event] += 1
        waiting = self._awaited.pop(details.get("request") or "", None) if event in _OUTCOMES else None
        if waiting is not None:
            waiting.put({"event": event, **details})

    def answer(self, request: Mapping[str, Any]) -> Any:
        """The answer to a request, as JSON values. Raises Refused or Busy, and whatever a wrong argument leads to."""
        operation = _OPERATIONS.get(str(request.get("ask")))
        if operation is None:
            raise RequestRefused(f"no such request: {request.get('ask')!r}")
        try:
            return operation(self, **{name: value for name, value in request.items() if name != "ask"})
        except TypeError as error:  # other arguments than it takes
            raise RequestRefused(str(error)) from None

    def state(self) -> dict[str, Any]:
        """How the network stands, as far as the controller knows."""
        state: dict[str, Any] = self._in_its_thread(self._state)
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
            **reconciler.active_policy.told,
            "digest": reconciler.active_policy.plan.digest,
            "phase": reconciler.phase.name.lower(),
            "routers": routers,
            "links_down": sorted(link.id for link in network.links if not live.link_is_up(link.id)),
            "withdrawn": {place: sorted(links_of(network, place)) for place in sorted(live.withdrawn)},
            "paths": told_of(reconciler.current.failures),
            "audit": self._audited(),
            "events": dict(self._events),
            "cpu_seconds": time.process_time(),
        }

    def _audited(self) -> dict[str, Any]:
        """When each switch was last found to hold what it is to, in seconds ago."""
        now = time.monotonic()
        return {router: round(now - at, 3) for router, at in self.app.reconciler.audit.seen.items()}

    def apply(self, plan: str, by: dict[str, Any], expects: str, changes: list[str], request: str) -> dict[str, Any]:
        """Changes to the plan in a file, and says what became of it."""
        try:
            wanted = self._read_plan(Path(plan))
        except (InputError, OSError, pickle.UnpicklingError) as error:
            raise RequestRefused(str(error)) from None
        waiting = self._awaited[request] = Queue(1)
        self.app.change_plan(wanted, Origin(by, expects, tuple(changes), request))
        try:
            return dict(waiting.get(timeout=CHANGE_S))
        except QueueEmpty:
            self._awaited.pop(request, None)
            raise RequestRefused(f"nothing became of it within {CHANGE_S:g} s") from None

    def refused(self, policy: str, reason: str, by: dict[str, Any]) -> None:
        """Somebody's policy was refused before it came here: told as others are."""
        self.app.emit("policy-refused", {"policy": policy, "reason": reason, **Origin(by).told})

    def withdraw(self, places: list[str], by: dict[str, Any]) -> None:
        """Takes these links and PoPs out of service, and gives all others back."""
        if unknown := [place for place in places if not links_of(self.app.plan.network, place)]:
            raise RequestRefused(f"no such place: {', '.join(unknown)}")
        self._in_its_thread(lambda: self.app.withdraw(frozenset(places), Origin(by)))

    def counters(self, router: str, cookie: int, mask: int) -> str:
        """A switch's entries with such cookies and their counters: flow statistics as OpenFlow has them, in base64."""
        told = Queue(1)
        if not self._in_its_thread(lambda: self.app.poll(router, cookie, mask, told.put)):
            raise RequestRefused(f"{router} is not connected")
        try:
            return base64.b64encode(told.get(timeout=ANSWER_S)).decode()
        except QueueEmpty:
            raise RequestRefused(f"{router} does not tell its counters") from None

    def _in_its_thread(self, question: Callable[[], Any]) -> Any:
        """What ``question`` answers where nothing changes meanwhile."""
        answer = Queue(1)

        def answered() -> None:  # whatever goes wrong is the asker's affair: that thread has a network to keep up
            try:
                answer.put((question(), None))
            except Exception as error:
                answer.put((None, error))

        self.app.inbox.put(answered)
        try:
            found, error = answer.get(timeout=ANSWER_S)
        except QueueEmpty:
            raise Busy("the controller is busy") from None
        if error is not None:
            raise error
        return found


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "state": ControlApi.state,
    "apply": ControlApi.apply,
    "refused": ControlApi.refused,
    "withdraw": ControlApi.withdraw,
    "counters": ControlApi.counters,
}
