"""Changes of policy: the one requested, the one being rolled out, and the active one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helsewan.controller.update.commands import Event, Output, Store
from helsewan.controller.update.policy_change import ActivePolicy, PolicyChange
from helsewan.policies.plan import Plan


@dataclass
class PolicyUpdate:
    """Of several changes requested during a rollout only the last is kept."""

    active: ActivePolicy
    requested: PolicyChange | None = None
    rolling_out: PolicyChange | None = None

    def objection(self, change: PolicyChange, current: Plan) -> list[Output]:
        """The refusal of a change that is for another network than ``current``, or whose precondition fails (it
        expects to replace another policy version); empty for any other change."""
        expects = change.origin.expects
        if change.plan.network != current.network:
            return [change.refused("it is made for another network"), Store(current)]
        if expects and (self.requested or self.rolling_out):
            return [change.refused("another policy is being rolled out", conflict=True)]
        if expects not in ("", self.active.version):
            return [change.refused(f"the policy in force is now {self.active.version}", conflict=True)]
        return []

    def request(self, change: PolicyChange) -> list[Output]:
        """Requests a change; it replaces one that was requested and not begun."""
        replaced: list[Output] = []
        if self.requested is not None:
            replaced.append(self.requested.refused("a later request replaced it"))
        self.requested = change
        return replaced

    def take(self) -> PolicyChange | None:
        """Removes and returns the requested change."""
        change, self.requested = self.requested, None
        return change

    def finish(self) -> PolicyChange | None:
        """Ends the rollout of a change, which took effect or was undone; returns the change, if it was of policy."""
        change, self.rolling_out = self.rolling_out, None
        return change

    def took_effect(self, plan: Plan) -> dict[str, Any]:
        """Makes the plan being rolled out the active one; returns the keys of the event that reports it."""
        assert self.rolling_out is not None
        before, self.active = self.active, ActivePolicy(plan, self.active.number + 1)
        return {**self.rolling_out.origin.details, "before": before.details, "after": self.active.details}


def refused(change: PolicyChange, reason: str, kept: Plan) -> list[Output]:
    """The outputs for a change that is not rolled out: its event, and the plan ``kept`` to store again."""
    refusal: Event = change.refused(reason)
    return [refusal, Store(kept)]
