"""Begins and ends exceptions of the policy on time: the controller then changes to the policy as it is from that time
on, as to any other policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from helsewan.controller.framework import Queue, QueueEmpty
from helsewan.controller.update.policy_change import Origin
from helsewan.policies.compile import compile_anew
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan

RETRY_S = 30.0  # after a change that was refused
_LOOK_S = 3600.0  # at the clock at least, which may have been set


class ExceptionScheduler:
    """Requests a ``change`` of plan at each time at which the present plan has one due."""

    def __init__(self, change: Callable[[Plan, Origin], None], now: Callable[[], datetime] = utc_now) -> None:
        self._change, self._now = change, now
        self._kept: Any = Queue()

    def keep(self, plan: Plan) -> None:
        """This is the plan from now on; from any thread."""
        self._kept.put(plan)

    def run(self) -> None:
        """Wait for moments and for other plans, for ever."""
        plan, asked = self._kept.get(), None
        while True:
            turn = plan.next_change
            try:
                plan = self._kept.get(timeout=None if turn is None else self._wait_s(turn, asked))
                continue
            except QueueEmpty:
                now = self._now()
            if turn is not None and now >= turn:
                asked = turn
                due = compile_anew(plan, now)
                self._change(due, Origin({"door": "calendar"}, changes=turns(plan, due)))

    def _wait_s(self, turn: datetime, asked: datetime | None) -> float:
        """How long until the moment, or until it is asked for again."""
        if turn == asked:
            return RETRY_S
        return min(max((turn - self._now()).total_seconds(), 0.0), _LOOK_S)


def turns(before: Plan, after: Plan) -> tuple[str, ...]:
    """Which exceptions stand otherwise in the second plan than in the first, in words."""
    stood = {each.name: each.state for each in before.exceptions}
    return tuple(
        f"exceptions.{each.name}: {each.state.value}"
        for each in after.exceptions
        if stood.get(each.name) is not each.state
    )
