"""Client of the controller's control socket (`helsewan.controller.control.control_server`)."""

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
_FRESH_S = 0.2  # how long a reported state is served again
_MAX_PENDING = 4  # requests to the controller at the same time
_TRIES, _RETRY_S = 20, 0.05
State = dict[str, Any]


class Unreachable(Exception):
    """The controller cannot be reached, does not answer, or is busy."""


class Declined(Exception):
    """The controller refused the request; the message is its reason."""


class ControllerProtocol(Protocol):
    """What the northbound interface needs of the controller. Methods raise Unreachable or Declined."""

    def state(self) -> State:
        """The network's state as known to the controller (`ControlApi.state`)."""

    def plan(self) -> Plan:
        """The policy in force."""

    def apply(self, plan: Plan, who: Mapping[str, Any], expects: str, changes: tuple[str, ...]) -> dict[str, Any]:
        """Changes to a plan in place of policy version ``expects`` (any, if empty); returns the event that reports the
        outcome."""

    def refused(self, policy: str, reason: str, who: Mapping[str, Any]) -> None:
        """Has the controller report a refusal that was found before it was asked."""

    def withdraw(self, places: frozenset[str], who: Mapping[str, Any]) -> None:
        """Takes these links and PoPs out of service, and puts all others back."""

    def counters(self, router: str, cookie: int, mask: int) -> bytes:
        """The flow statistics of a switch's entries whose cookies are ``cookie`` under ``mask`` (OpenFlow 1.3.5,
        7.3.5.2)."""


class ControllerClient:
    """The controller with control socket ``socket_path`` and plan file ``plan_file``."""

    def __init__(self, socket_path: Path, plan_file: Path) -> None:
        self._socket_path, self._plan_file = socket_path, plan_file
        self._slots = threading.BoundedSemaphore(_MAX_PENDING)
        self._lock = threading.Lock()
        self._state: tuple[float, State] | None = None
        self._plan: tuple[str, Plan] | None = None

    def state(self) -> State:
        """The state, at most 0.2 s old."""
        with self._lock:
            if self._state is None or time.monotonic() - self._state[0] > _FRESH_S:
                self._state = time.monotonic(), self._request("state")
            return self._state[1]

    def plan(self) -> Plan:
        """The plan in force, read from the controller's file when it has changed."""
        for _ in range(_TRIES):
            state = self.state()
            with self._lock:
                if self._plan is not None and self._plan[0] == state["version"]:
                    return self._plan[1]
                plan = read_plan(self._plan_file)
                if plan.digest == state["digest"]:
                    self._plan = state["version"], plan
                    return plan
            time.sleep(_RETRY_S)  # a change is in progress: the file holds another plan than the one in force
        raise Unreachable("the policy is being changed")

    def apply(self, plan: Plan, who: Mapping[str, Any], expects: str, changes: tuple[str, ...]) -> dict[str, Any]:
        """Passes the plan in a file beside the controller's own."""
        request = secrets.token_hex(8)
        path = self._plan_file.with_name(f"proposed-{request}.pickle")
        try:
            with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                pickle.dump(plan, file)
            arguments = {"plan": str(path), "by": who, "expects": expects, "changes": changes, "request": request}
            outcome: dict[str, Any] = self._request("apply", CHANGE_S, **arguments)
        finally:
            path.unlink(missing_ok=True)
            self._forget_state()
        return outcome

    def refused(self, policy: str, reason: str, who: Mapping[str, Any]) -> None:
        """The controller reports the refusal as an event."""
        self._request("refused", policy=policy, reason=reason, by=who)

    def withdraw(self, places: frozenset[str], who: Mapping[str, Any]) -> None:
        """Returns before new paths are in use; `state` shows when they are."""
        self._request("withdraw", places=sorted(places), by=who)
        self._forget_state()

    def counters(self, router: str, cookie: int, mask: int) -> bytes:
        """Flow statistics, as the switch sent them."""
        return b64decode(self._request("counters", router=router, cookie=cookie, mask=mask))

    def _forget_state(self) -> None:
        with self._lock:
            self._state = None

    def _request(self, operation: str, timeout_s: float = ANSWER_S, **arguments: object) -> Any:
        """The controller's answer to one request. Raises Unreachable and Declined."""
        if not self._slots.acquire(timeout=ANSWER_S):
            raise Unreachable("too many requests at the same time")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self._socket_path))
                connection.sendall(json.dumps({"ask": operation, **arguments}).encode() + b"\n")
                with connection.makefile("rb") as answers:
                    answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            raise Unreachable(f"the controller does not answer: {error}") from None
        finally:
            self._slots.release()
        if "busy" in answer:
            raise Unreachable(str(answer["busy"]))
        if "ok" not in answer:
            raise Declined(str(answer.get("error")))
        return answer["ok"]
