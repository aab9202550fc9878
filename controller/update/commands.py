"""What the controller asks of one switch at a time, and what it tells people.

Every order ends with the switch's word: that it is done, or what it refused and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.update.rule_diff import Difference


@dataclass(frozen=True, slots=True)
class Read:
    """Say all that the switch holds."""


@dataclass(frozen=True, slots=True)
class Count:
    """Say how many flows the switch holds."""


@dataclass(frozen=True, slots=True)
class Update:
    """Make this difference, groups and flows in one step. Meters cannot be part of a step (Open vSwitch): new and
    changed ones come before it, and `updates` sees to it that removed ones come after its success."""

    difference: Difference


@dataclass(frozen=True, slots=True)
class Prepare:
    """Take this difference in as bundle ``number``, and do nothing yet."""

    difference: Difference
    number: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the difference of bundle ``number`` in one step."""

    difference: Difference
    number: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget bundle ``number``."""

    number: int


SwitchCommand = Read | Count | Update | Prepare | Commit | Discard


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a switch did not take, in words, and why."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """An order for one router."""

    router: str
    order: SwitchCommand


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling people."""

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
