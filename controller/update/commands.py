"""Commands for one switch at a time, and events for users.

Every command ends with the switch's reply: done, or what it refused and why.
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
    """Make this difference, groups and flows in one step. Meters cannot be part of a step (Open vSwitch): new and
    changed ones come before it, and `updates` sees to it that removed ones come after its success."""

    difference: Difference


@dataclass(frozen=True, slots=True)
class Prepare:
    """Open bundle ``number`` with this difference, without effect yet."""

    difference: Difference
    number: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the difference of bundle ``number`` in one step."""

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
    order: SwitchCommand


@dataclass(frozen=True, slots=True)
class Event:
    """An event for logs and users."""

    event: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """Keep this plan where a controller that starts anew finds it, before going on."""

    plan: Any


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Keep these places as what is out of service where a controller that starts anew finds them."""

    places: frozenset[str]


Output = Assignment | Event | Store | Withdraw


def updates(whole: Difference) -> tuple[Update, ...]:
    """The orders that make a difference: a meter goes when the flows that use it are gone for sure, for a switch
    deletes those together with the meter."""
    unused = RuleSet(meters=whole.remove.meters)
    first = Difference(
        whole.add, whole.change, RuleSet(groups=whole.remove.groups, flows=whole.remove.flows), whole.was
    )
    return tuple(Update(part) for part in (first, Difference(remove=unused)) if len(part))
