"""The server's end of the controller's door (`helsewan.controller.control.control_server`), and what is known through
it."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from helsewan.controller.plan_file import read_plan
from helsewan.policies.plan import Plan

ANSWER_S = 10.0
CHANGE_S = 150.0  # longer than the controller itself waits
_FRESH_S = 0.2  # how long what the controller said of its state is taken for now
_AT_A_TIME = 4
_TRIES, _RETRY_S = 20, 0.05
State = dict[str, Any]


class Unreachable(Exception):
    """The controller cannot be asked, or does not answer."""


class Declined(Exception):
    """The controller's answer is that it has none; the message says why."""


class ControllerProtocol(Protocol):
    """Where everything that the interface tells comes from, and all that it changes goes."""

    def state(self) -> State:
        """How the controller sees the network now."""

    def plan(self) -> Plan:
        """The policy in force."""

    def apply(self, plan: Plan, who: Mapping[str, Any], expects: str, changes: tuple[str, ...]) -> dict[str, Any]:
        """Changes to a policy; the event that tells what became of it."""

    def refused(self, policy: str, reason: str, who: Mapping[str, Any]) -> None:
        """Has a refusal told that was found before the controller was asked."""

    def withdraw(self, places: frozenset[str], who: Mapping[str, Any]) -> None:
        """Takes these lines and PoPs out of service, and no others."""

    def counters(self, router: str, cookie: int, mask: int) -> bytes:
        """A switch's entries whose cookies are ``cookie`` under ``mask``: flow statistics (OpenFlow 1.3.5, 7.3.5.2)."""


class ControllerClient:
    """The controller behind the socket at ``door``, whose plan is the file ``plan_file``."""

    def __init__(self, door: Path, plan_file: Path) -> None:
        self._door, self._plan_file = door, plan_file
        self._room = threading.BoundedSemaphore(_AT_A_TIME)
        self._lock = threading.Lock()
        self._state: tuple[float, State] | None = None
        self._plan: tuple[str, Plan] | None = None

    def state(self) -> State:
        """As of a moment ago at most."""
        with self._lock:
            if self._state is None or time.monotonic() - self._state[0] > _FRESH_S:
                self._state = time.monotonic(), self._ask("state")
            return self._state[1]

    def plan(self) -> Plan:
        """Read from the controller's file when another is in force."""
        for _ in range(_TRIES):
            state = self.state()
            with self._lock:
                if self._plan is not None and self._plan[0] == state["version"]:
                    return self._plan[1]
                plan = read_plan(self._plan_file)
                if plan.digest == state["digest"]:
                    self._plan = state["version"], plan
                    return plan
            time.sleep(_RETRY_S)  # the file is a step ahead of what is in force, or behind
        raise Unreachable("the policy is being changed")

    def apply(self, plan: Plan, who: Mapping[str, Any], expects: str, changes: tuple[str, ...]) -> dict[str, Any]:
        """The plan goes through a file beside the controller's own."""
        request = secrets.token_hex(8)
        path = self._plan_file.with_name(f"proposed-{request}.pickle")
        try:
            with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                pickle.dump(plan, file)
            asked = {"plan": str(path), "by": who, "expects": expects, "changes": changes, "request": request}
            outcome: dict[str, Any] = self._ask("apply", CHANGE_S, **asked)
        finally:
            path.unlink(missing_ok=True)
            self._forget_state()
        return outcome

    def refused(self, policy: str, reason: str, who: Mapping[str, Any]) -> None:
        """Told by the controller, as all that happens is."""
        self._ask("refused", policy=policy, reason=reason, by=who)

    def withdraw(self, places: frozenset[str], who: Mapping[str, Any]) -> None:
        """It takes effect when paths have been switched: `state` tells."""
        self._ask("withdraw", places=sorted(places), by=who)
        self._forget_state()

    def counters(self, router: str, cookie: int, mask: int) -> bytes:
        """Flow statistics, as the switch sent them."""
        return b64decode(self._ask("counters", router=router, cookie=cookie, mask=mask))

    def _forget_state(self) -> None:
        with self._lock:
            self._state = None

    def _ask(self, what: str, patience_s: float = ANSWER_S, **arguments: object) -> Any:
        """Raises Unreachable and Declined."""
        if not self._room.acquire(timeout=ANSWER_S):
            raise Unreachable("too many ask at the same time")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                door.settimeout(patience_s)
                door.connect(str(self._door))
                door.sendall(json.dumps({"ask": what, **arguments}).encode() + b"\n")
                with door.makefile("rb") as answers:
                    answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            raise Unreachable(f"the controller does not answer: {error}") from None
        finally:
            self._room.release()
        if "busy" in answer:
            raise Unreachable(str(answer["busy"]))
        if "ok" not in answer:
            raise Declined(str(answer.get("error")))
        return answer["ok"]
