"""Begins and ends time-limited exceptions of the policy when they are due: it compiles the policy for that time and
requests the change to it, as for any other policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from helsewan.controller.framework import Queue, QueueEmpty
from helsewan.controller.update.policy_change import Origin
from helsewan.policies.compile import compile_anew
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan

RETRY_S = 30.0  # until a change that did not take effect is requested again
_MAX_WAIT_S = 3600.0  # until the clock is read again, which may have been set meanwhile


class ExceptionScheduler:
    """Calls ``change`` whenever an exception of the plan in use begins or ends, by the clock ``now`` (UTC)."""

    def __init__(self, change: Callable[[Plan, Origin], None], now: Callable[[], datetime] = utc_now) -> None:
        self._change, self._now = change, now
        self._plans: Any = Queue()

    def set_plan(self, plan: Plan) -> None:
        """Sets the plan in use; from any thread."""
        self._plans.put(plan)

    def run(self) -> None:
        """Waits for due times and for new plans. Does not return."""
        plan, requested = self._plans.get(), None
        while True:
            due_at = plan.next_change
            try:
                plan = self._plans.get(timeout=None if due_at is None else self._wait_s(due_at, requested))
                continue
            except QueueEmpty:
                now = self._now()
            if due_at is not None and now >= due_at:
                requested = due_at
                due = compile_anew(plan, now)
                self._change(due, Origin({"door": "calendar"}, changes=status_changes(plan, due)))

    def _wait_s(self, due_at: datetime, requested: datetime | None) -> float:
        """Seconds until the change is due, or until it is requested again where it was already."""
        if due_at == requested:
            return RETRY_S
        return min(max((due_at - self._now()).total_seconds(), 0.0), _MAX_WAIT_S)


def status_changes(before: Plan, after: Plan) -> tuple[str, ...]:
    """The exceptions whose status differs between the plans, each with its status in ``after``, as text."""
    earlier = {each.name: each.state for each in before.exceptions}
    return tuple(
        f"exceptions.{each.name}: {each.state.value}"
        for each in after.exceptions
        if earlier.get(each.name) is not each.state
    )
