"""Switches' counters, read through the controller on request, and cached for FRESH_S."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus

from helsewan.common.schema_errors import nearest
from helsewan.controller.northbound.controller_client import ControllerProtocol, Declined
from helsewan.controller.northbound.problems import ProblemDetails, no_such
from helsewan.controller.northbound.views.counting import classes, drops
from helsewan.controller.northbound.views.models import DropOut, RouterCountersOut
from helsewan.controller.openflow.pipeline import Purpose, cookie

FRESH_S = 5.0  # a switch forwards and reports counters in one thread: it is not polled more often
_SLICES = 8  # requests for contracts' many entries: packets wait while a switch reports them


class Counters:
    """The counters of the routers of ``controller``; a router's are polled at most every ``fresh_s`` seconds."""

    def __init__(self, controller: ControllerProtocol, fresh_s: float = FRESH_S) -> None:
        self._controller, self._fresh_s = controller, fresh_s
        self._lock = threading.Lock()
        self._read: dict[tuple[str, Purpose], tuple[float, bytes]] = {}

    def of(self, router: str) -> RouterCountersOut:
        """The counters of one router. Raises ProblemDetails where it does not exist or does not report them."""
        plan = self._controller.plan()
        if router not in plan.network.router:
            raise no_such("router", router, "is no router of this network", nearest(router, plan.network.router))
        try:
            dropped = drops(self._statistics(router, Purpose.DROP))
            accepted = classes(self._statistics(router, Purpose.CONTRACT), plan)
        except (Declined, ValueError) as error:
            raise ProblemDetails(HTTPStatus.BAD_GATEWAY, str(error)) from None
        return RouterCountersOut(router=router, drops=dropped, classes=accepted)

    def all_drops(self) -> dict[str, list[DropOut]]:
        """The drops of every connected router that reports them."""
        found = {}
        for router, state in self._controller.state()["routers"].items():
            if state["connected"]:
                try:
                    found[router] = drops(self._statistics(router, Purpose.DROP))
                except (Declined, ValueError):  # it has just disconnected
                    continue
        return found

    def _statistics(self, router: str, purpose: Purpose) -> bytes:
        with self._lock:
            at, data = self._read.get((router, purpose), (-self._fresh_s, b""))
            if time.monotonic() - at >= self._fresh_s:
                data = b"".join(self._controller.counters(router, *part) for part in _parts(purpose))
                self._read[router, purpose] = time.monotonic(), data
            return data


def _parts(purpose: Purpose) -> list[tuple[int, int]]:
    """(cookie, mask) of the requests for the entries of a purpose: contracts' are split by the low bits of their
    number."""
    slices = _SLICES if purpose is Purpose.CONTRACT else 1
    return [(cookie(purpose, number), cookie(0xFF, slices - 1)) for number in range(slices)]
