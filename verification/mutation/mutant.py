"""One fault in the rules of one router, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from helsewan.controller.openflow.entries import (
    AnyMeter,
    Entry,
    FlowRule,
    Group,
    GroupRule,
    MeterRule,
    PacketMeterRule,
    RuleSet,
)


class Mutation(str, Enum):
    """What can go wrong with an entry."""

    DROPPED = "dropped"
    WIDENED = "widened"  # a field left out, a prefix shortened, a mask relaxed
    NARROWED = "narrowed"  # a prefix or mask lengthened, a field more
    SWAPPED = "swapped"  # what two entries of a table do
    PRIORITY = "misprioritised"  # above, below or beside a neighbour
    ADDED = "added"  # an entry that takes everything, or one on a table that is not ours
    ACTION = "action left out"
    WAY = "wrong way"  # another port, group or table
    LABEL = "wrong label"  # pushed, or taken off for another protocol's
    MARK = "wrong mark"  # another DSCP
    METADATA = "wrong metadata"  # another VRF, role, VPN or class
    METER = "wrong meter"  # another, none, or of another rate
    VLAN = "wrong VLAN"
    BUCKET = "wrong bucket"  # exchanged, dropped, or watching another port


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: at ``router``, in ``table`` (``group`` and ``meter`` are tables too), ``before`` went and ``after``
    came; ``what`` says it in words."""

    kind: Mutation
    table: str
    router: str
    what: str
    before: tuple[Entry, ...]
    after: tuple[Entry, ...]

    def of(self, rules: RuleSet) -> RuleSet:
        """The router's rules with the fault."""
        gone = frozenset(self.before)
        kept = [entry for entry in rules if entry not in gone] + list(self.after)
        return RuleSet(
            tuple(entry for entry in kept if isinstance(entry, MeterRule | PacketMeterRule)),
            tuple(entry for entry in kept if isinstance(entry, GroupRule)),
            tuple(entry for entry in kept if isinstance(entry, FlowRule)),
        )

    def among(self, rules: Mapping[str, RuleSet]) -> dict[str, RuleSet]:
        """All routers' rules with the fault."""
        return {**rules, self.router: self.of(rules[self.router])}

    def __str__(self) -> str:
        return f"{self.router}, {self.table}: {self.what}"


def table_of(entry: Entry) -> str:
    """Where an entry stands, by name."""
    if isinstance(entry, FlowRule):
        return entry.table.name.lower()
    return "group" if isinstance(entry, GroupRule) else "meter"


def key_of(entry: Entry) -> object:
    """What a switch tells entries apart by: a new one takes the place of an old one that has the same."""
    if isinstance(entry, FlowRule):
        return entry.table, entry.priority, frozenset(entry.match)
    return table_of(entry), entry.id


def dependents(rules: RuleSet, gone: GroupRule | AnyMeter) -> tuple[FlowRule, ...]:
    """The flow entries that a switch removes together with a group or a meter (OpenFlow 1.3.5, 6.4 and 6.5)."""
    if isinstance(gone, GroupRule):
        return tuple(rule for rule in rules.flows if Group(gone.id) in rule.actions)
    return tuple(rule for rule in rules.flows if rule.meter == gone.id)
