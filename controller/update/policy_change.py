"""Requests to change the policy: their origin and precondition, and the events that report the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.commands import Event
from helsewan.policies.plan import Plan
from helsewan.topology.model import access_link_name


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from: ``by`` tells people who, ``changes`` what in words. ``expects`` is the version of the
    policy that it is to take the place of (any, if empty); ``request`` tells it from others."""

    by: Mapping[str, Any] = field(default_factory=lambda: {"door": "signal"})
    expects: str = ""
    changes: tuple[str, ...] = ()
    request: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """Its part of a report."""
        return {"by": dict(self.by), "changes": list(self.changes), "request": self.request}


OURSELVES = Origin({"door": "controller"})


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A request for a policy."""

    plan: Plan
    origin: Origin

    def refused(self, reason: str, **details: Any) -> Event:
        """The report that it will not be."""
        return Event("policy-refused", {"policy": self.plan.policy, "reason": reason, **details, **self.origin.told})


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """The policy in force; ``number`` counts the policies that this controller has had in force."""

    plan: Plan
    number: int = 1

    @property
    def version(self) -> str:
        """Tells it from every other, and from itself at another time."""
        return f"{self.number}-{self.plan.digest}"

    @property
    def told(self) -> dict[str, Any]:
        """Its part of a report."""
        return {"policy": self.plan.policy, "version": self.version}


def told_of(failures: Failures) -> dict[str, Any]:
    """What paths keep clear of, as a part of a report."""
    return {
        "links_down": sorted(failures.links),
        "accesses_down": sorted(access_link_name(*line) for line in failures.access_links),
        "routers_out": sorted(failures.routers),
        "withdrawn": sorted(failures.avoided),
    }
