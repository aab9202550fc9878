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
    """Where a change comes from: ``by`` identifies the user or program, ``changes`` describes it as text. ``expects``
    is the version of the policy that it is to replace (any, if empty); ``request`` is the request's id."""

    by: Mapping[str, Any] = field(default_factory=lambda: {"door": "signal"})
    expects: str = ""
    changes: tuple[str, ...] = ()
    request: str = ""

    @property
    def details(self) -> dict[str, Any]:
        """The keys of an event that describe the origin."""
        return {"by": dict(self.by), "changes": list(self.changes), "request": self.request}


OURSELVES = Origin({"door": "controller"})


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A request to change to the policy of ``plan``."""

    plan: Plan
    origin: Origin

    def refused(self, reason: str, **details: Any) -> Event:
        """The event that the request is refused."""
        return Event("policy-refused", {"policy": self.plan.policy, "reason": reason, **details, **self.origin.details})


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """The policy in force; ``number`` counts the policies that this controller has had in force."""

    plan: Plan
    number: int = 1

    @property
    def version(self) -> str:
        """Unique among the policies that this controller has had in force, even where one returns."""
        return f"{self.number}-{self.plan.digest}"

    @property
    def details(self) -> dict[str, Any]:
        """The keys of an event that describe the policy in force."""
        return {"policy": self.plan.policy, "version": self.version}


def describe_failures(failures: Failures) -> dict[str, Any]:
    """The keys of an event that list what paths avoid."""
    return {
        "links_down": sorted(failures.links),
        "accesses_down": sorted(access_link_name(*each) for each in failures.access_links),
        "routers_out": sorted(failures.routers),
        "withdrawn": sorted(failures.avoided),
    }
