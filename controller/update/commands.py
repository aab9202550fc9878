"""Outputs of the reconciler: commands for one switch, events for logs and users, and state to store.

A switch replies to every command: it is carried out, or a rule of it was refused for a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.update.rule_diff import Difference


@dataclass(frozen=True, slots=True)
class Read:
    """Read all entries of the switch."""


@dataclass(frozen=True, slots=True)
class Count:
    """Count the flows of the switch."""


@dataclass(frozen=True, slots=True)
class Update:
    """Apply this difference, its groups and flows as one atomic bundle. Open vSwitch takes no meters in a bundle: new
    and changed ones are sent before it, and `updates` defers removed ones until the bundle succeeded."""

    difference: Difference


@dataclass(frozen=True, slots=True)
class Prepare:
    """Open bundle ``number`` and add this difference to it, without effect yet."""

    difference: Difference
    number: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit bundle ``number``, which applies its difference in one step."""

    difference: Difference
    number: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Discard bundle ``number``."""

    number: int


SwitchCommand = Read | Count | Update | Prepare | Commit | Discard


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rule that a switch refused, as text, and the reason."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """A command for one router."""

    router: str
    command: SwitchCommand


@dataclass(frozen=True, slots=True)
class Event:
    """An event for logs and users."""

    event: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """Store this plan for a controller that restarts, before the outputs that follow."""

    plan: Any


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Store these places (ids of links and PoPs) as those out of service, for a controller that restarts."""

    places: frozenset[str]


Output = Assignment | Event | Store | Withdraw


def updates(whole: Difference) -> tuple[Update, ...]:
    """The commands that apply a difference. Meters are removed by a second command, once the flows that use them are
    replaced: deleting a meter makes a switch delete its flows too (OpenFlow 1.3.5, 6.4)."""
    unused = RuleSet(meters=whole.remove.meters)
    first = Difference(
        whole.add, whole.change, RuleSet(groups=whole.remove.groups, flows=whole.remove.flows), whole.was
    )
    return tuple(Update(part) for part in (first, Difference(remove=unused)) if len(part))
