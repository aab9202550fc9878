"""The slow path: takes what switches hand up, and has them send what a router would answer.

It has a queue and a thread of its own, and knows the plan alone: however much is handed up, what keeps the network's
paths up to date does not wait for it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from controller.answers import Answers
from controller.fit import MTU_REGISTER
from controller.framework import Queue, ofproto_v1_3
from controller.punt import Punt
from controller.wire import Encoder
from policies.plan import Plan

_of: Any = ofproto_v1_3
_BACKLOG = 64  # what waits longer than so many others is not worth an answer any more


class SlowPath:
    """Answers for all switches of a plan."""

    def __init__(self, plan: Plan, emit: Callable[[str, dict[str, Any]], None]) -> None:
        self._answers = Answers(plan)
        self._router_of = {router.index: router.id for router in plan.network.routers}
        self._emit = emit
        self._encoder = Encoder()
        self._inbox: Any = Queue()

    def take(self, message: Any) -> None:
        """A packet-in message; answered later, or not at all while too many wait."""
        if self._inbox.qsize() < _BACKLOG:
            self._inbox.put(message)

    def work(self) -> None:
        """Answers what comes, for ever. A packet that cannot even be looked at is reported and forgotten."""
        while True:
            message = self._inbox.get()
            try:
                self._answer(message)
            except Exception as error:
                self._emit("error", {"message": "".join(traceback.format_exception(error))})

    def _answer(self, message: Any) -> None:
        router = self._router_of.get(message.datapath.id)
        if router is None:
            return
        expired = message.reason == _of.OFPR_INVALID_TTL
        metadata, mtu_bytes = (message.match.get(field, 0) for field in ("metadata", MTU_REGISTER))
        punt = Punt(router, expired, message.cookie, metadata, bytes(message.data), mtu_bytes)
        answer = self._answers.to(punt)
        if answer is not None:
            message.datapath.send(self._encoder.packet_out(answer.actions, answer.frame))
