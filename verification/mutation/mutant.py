"""One fault in the rules of one router, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from helsewan.controller.openflow.entries import (
    AnyMeter,
    Entry,
    FlowRule,
    Group,
    GroupRule,
    MeterRule,
    PacketMeterRule,
    Port,
    RuleSet,
    Table,
)


class Mutation(str, Enum):
    """The kinds of faults in an entry."""

    DROPPED = "dropped"
    WIDENED = "widened"  # a match field removed, a prefix shortened, a mask relaxed
    NARROWED = "narrowed"  # a prefix or mask lengthened, a match field added
    SWAPPED = "swapped"  # the instructions of two entries of a table
    PRIORITY = "misprioritised"  # above, below or equal to another entry's
    ADDED = "added"  # an entry that matches everything, or one in a table that the pipeline does not use
    ACTION = "action left out"
    FORWARDING = "wrong output"  # another port, group or table
    LABEL = "wrong label"  # another one pushed, or popped with the wrong EtherType
    MARK = "wrong mark"  # another DSCP
    METADATA = "wrong metadata"  # another VRF, role, VPN or class
    METER = "wrong meter"  # another, none, or of another rate
    VLAN = "wrong VLAN"
    BUCKET = "wrong bucket"  # exchanged, dropped, or watching another port
    TTL = "wrong TTL"  # set, not decremented, decremented twice, or not copied from a label
    ANSWER = "wrong answer"  # to a host: none, or another MAC address
    PUNT = "wrong punt"  # copied to the controller, or not sent to it
    TIMEOUT = "timeout"  # the switch removes the entry by itself
    PORT = "wrong port"  # configured not to receive or send, or down


Held = Entry | Port


class Fault(NamedTuple):
    """A change: its description, the entries or ports removed, and those added."""

    what: str
    before: tuple[Held, ...]
    after: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault at ``router`` in ``table`` (or ``group``, ``meter`` or ``port``): the entries ``before`` are replaced by
    ``after``. ``what`` describes it."""

    kind: Mutation
    table: str
    router: str
    what: str
    before: tuple[Held, ...]
    after: tuple[Held, ...]

    def apply(self, rules: RuleSet) -> RuleSet:
        """The rules of the mutant's router with the fault."""
        gone = frozenset(self.before)
        kept = [entry for entry in (*rules.ports, *rules) if entry not in gone] + list(self.after)
        return RuleSet(
            tuple(entry for entry in kept if isinstance(entry, MeterRule | PacketMeterRule)),
            tuple(entry for entry in kept if isinstance(entry, GroupRule)),
            tuple(entry for entry in kept if isinstance(entry, FlowRule)),
            tuple(entry for entry in kept if isinstance(entry, Port)),
        )

    def apply_to_all(self, rules: Mapping[str, RuleSet]) -> dict[str, RuleSet]:
        """All routers' rules with the fault."""
        return {**rules, self.router: self.apply(rules[self.router])}

    def __str__(self) -> str:
        return f"{self.router}, {self.table}: {self.what}"


def table_of(entry: Held) -> str:
    """The table of an entry by name; ``group``, ``meter`` or ``port`` for these."""
    if isinstance(entry, Port):
        return "port"
    if isinstance(entry, FlowRule):
        return entry.table.name.lower()
    return "group" if isinstance(entry, GroupRule) else "meter"


def key_of(entry: Held) -> object:
    """What identifies an entry in a switch: a new entry replaces an old one with the same key (OpenFlow 1.3.5, 6.4)."""
    if isinstance(entry, Port):
        return "port", entry.number
    if isinstance(entry, FlowRule):
        return entry.table, entry.priority, frozenset(entry.match)
    return table_of(entry), entry.id


def dependents(rules: RuleSet, gone: GroupRule | AnyMeter) -> tuple[FlowRule, ...]:
    """The flow entries that a switch removes together with a group or a meter (OpenFlow 1.3.5, 6.4 and 6.5)."""
    if isinstance(gone, GroupRule):
        return tuple(rule for rule in rules.flows if Group(gone.id) in rule.actions)
    return tuple(rule for rule in rules.flows if rule.meter == gone.id)


@dataclass(frozen=True)
class MutationTarget:
    """A router to mutate: ``ports`` are those of its links, ``labels`` all labels in use in the network."""

    router: str
    rules: RuleSet
    ports: tuple[int, ...]
    labels: tuple[int, ...]

    @cached_property
    def tables(self) -> dict[str, list[Held]]:
        """The entries by table, and the ports."""
        found: dict[str, list[Held]] = {}
        for entry in (*self.rules, *self.rules.ports):
            found.setdefault(table_of(entry), []).append(entry)
        return found

    def flows(self, table: Table) -> list[FlowRule]:
        """The flow entries of a table."""
        return [rule for rule in self.rules.flows if rule.table is table]
