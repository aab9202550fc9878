"""The state that packets share as they go through switches together, and what becomes of them (`symbolic_executor`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from helsewan.controller.openflow.entries import Action, Table
from helsewan.verification.symbolic.header_space import Set
from helsewan.verification.symbolic.tables import Effect, Entry

# Ends beside sites, which have the numbers from 0 on.
LOOPED, LOST, MISMARKED, AMBIGUOUS, UNKNOWN, ANSWERED = FAULTS = tuple(range(0xFFF0, 0xFFF6))

Copied = tuple[str, int, int]  # bits of something that is not one number: (of what, from which bit, how many)
# What becomes of packets beside where they go, noted once it is so: a header is another than the one they were sent
# with; they got their class on another router; they have not the tag with which their line sends.
ALTERED, MARKED, RETAGGED = "altered", "marked", "retagged"
LASTING = frozenset({ALTERED, MARKED})  # matter wherever packets go
SENT, CLASS_TC, BENEATH = "sent", ("ip_dscp", 3, 3), (-1, -1)  # CLASS_TC: the MPLS traffic class of a packet's class
LabelEntry = tuple[object, object]  # label and TC: numbers, or Copied; (SENT, place) of a label it was sent with
Notes = tuple[tuple[str, object], ...]


class NotModelledError(Exception):
    """An entry uses something that is not modelled; nothing is proved of the packets that match it."""


@dataclass(frozen=True, slots=True)
class State:
    """What switches noted of packets, and of their headers what they overwrote. ``stack`` are the labels, the top one
    last; ``stripped``: they were sent with labels, which are gone."""

    notes: Notes
    stack: tuple[LabelEntry, ...] = ()
    stripped: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """Where the label beneath is looked at: what is still to be done, and what was noted until then."""

    router: str
    table: Table
    actions: tuple[Action, ...]
    goto: Table | None
    written: tuple[int, int] | None
    notes: Notes
    stack: tuple[LabelEntry, ...]


@dataclass(slots=True)
class Result:
    """The outcome of packets: a relation, the packets that continue once the label beneath is known, and a bitmask of
    the components it depends on."""

    out: Set
    resumes: list[tuple[Set, Resume]] = field(default_factory=list)
    hangs_on: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """A state at a table, with its edges: which packets which entry takes, which could take some but for others before
    them, what the entries do, and the nodes at later tables of the same router that lie right behind."""

    router: str
    table: Table
    state: State
    result: Result
    edges: tuple[tuple[Set, Entry], ...] = ()
    hidden: tuple[Entry, ...] = ()
    ambiguous: Set | None = None
    deeds: tuple[tuple[Set, Transition], ...] = ()
    after: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """What entries of a table do to packets in a state, and the result."""

    router: str
    table: Table
    effect: Effect
    state: State
    result: Result = field(compare=False)
