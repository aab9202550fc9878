"""Switches' counters, read by the controller when somebody asks, each router's at most once in a while."""

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

FRESH_S = 5.0  # a switch forwards and tells in one thread: it is not asked more often
_SLICES = 8  # contracts have many entries, and packets wait while a switch tells them


class Counters:
    """The counters of the routers of ``source``."""

    def __init__(self, source: ControllerProtocol, fresh_s: float = FRESH_S) -> None:
        self._source, self._fresh_s = source, fresh_s
        self._lock = threading.Lock()
        self._read: dict[tuple[str, Purpose], tuple[float, bytes]] = {}

    def of(self, router: str) -> RouterCountersOut:
        """One router's. Raises Trouble for what is none, or does not tell."""
        plan = self._source.plan()
        if router not in plan.network.router:
            raise no_such("router", router, "is no router of this network", nearest(router, plan.network.router))
        try:
            dropped = drops(self._statistics(router, Purpose.DROP))
            let_in = classes(self._statistics(router, Purpose.CONTRACT), plan)
        except (Declined, ValueError) as error:
            raise ProblemDetails(HTTPStatus.BAD_GATEWAY, str(error)) from None
        return RouterCountersOut(router=router, drops=dropped, classes=let_in)

    def all_drops(self) -> dict[str, list[DropOut]]:
        """What every router that tells has dropped."""
        found = {}
        for router, state in self._source.state()["routers"].items():
            if state["connected"]:
                try:
                    found[router] = drops(self._statistics(router, Purpose.DROP))
                except (Declined, ValueError):  # it has just left
                    continue
        return found

    def _statistics(self, router: str, purpose: Purpose) -> bytes:
        with self._lock:
            at, data = self._read.get((router, purpose), (-self._fresh_s, b""))
            if time.monotonic() - at >= self._fresh_s:
                data = b"".join(self._source.counters(router, *part) for part in _parts(purpose))
                self._read[router, purpose] = time.monotonic(), data
            return data


def _parts(purpose: Purpose) -> list[tuple[int, int]]:
    """(cookie, mask) of the requests for the entries of a purpose: contracts' by the low bits of their number."""
    slices = _SLICES if purpose is Purpose.CONTRACT else 1
    return [(cookie(purpose, number), cookie(0xFF, slices - 1)) for number in range(slices)]
