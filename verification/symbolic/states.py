"""States of packets in symbolic execution, and their results (see `symbolic_executor`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from helsewan.controller.openflow.entries import Action, Table
from helsewan.verification.symbolic.header_space import Set
from helsewan.verification.symbolic.tables import Effect, Entry

# Ends of packets that reach no site. Sites have the numbers from 0 on.
LOOPED, LOST, MISMARKED, AMBIGUOUS, UNKNOWN, ANSWERED, WRONG_TTL = FAULTS = tuple(range(0xFFF0, 0xFFF7))

Copied = tuple[str, int, int]  # bits copied from a field of unknown value: (field, first bit, number of bits)
# Pseudo-fields, set once they hold: a header differs from the one that packets were sent with; they were classified on
# another router; their VLAN tag is not that of their access link.
ALTERED, MARKED, RETAGGED = "altered", "marked", "retagged"
LASTING = frozenset({ALTERED, MARKED})  # live everywhere
# Pseudo-field: how often this router has decremented the TTL of the outermost header, absent for never. Whatever else
# happened to it (set to a number, decremented twice, that of a label that was popped) is BROKEN.
TTL, BROKEN = "ttl", -1
SENT, CLASS_TC, INNER_STACK = "sent", ("ip_dscp", 3, 3), (-1, -1)
# SENT: of a label that the packet was sent with; CLASS_TC: the MPLS traffic class of its class; INNER_STACK: the labels
# below the transport label, which are unknown while it is on.
LabelEntry = tuple[object, object]  # label and TC: numbers, or Copied; (SENT, index) for a label as sent
FieldValues = tuple[tuple[str, object], ...]


class NotModelledError(Exception):
    """An entry uses what is not modelled; nothing is proved of the packets that match it."""


class State(NamedTuple):
    """The pipeline fields of packets, and their overwritten headers. ``stack`` has their labels, the top one last;
    ``stripped``: they were sent with labels, which are popped."""

    fields: FieldValues
    stack: tuple[LabelEntry, ...] = ()
    stripped: bool = False


class Continuation(NamedTuple):
    """Suspended execution where the label below the transport label is needed: the remaining actions, and the state so
    far."""

    router: str
    table: Table
    actions: tuple[Action, ...]
    goto: Table | None
    metadata: tuple[int, int] | None
    fields: FieldValues
    stack: tuple[LabelEntry, ...]


@dataclass(slots=True)
class Result:
    """The outcome of packets: a relation, the packets that continue once the label below is known, and a bitmask of
    the components it depends on. Of these, the actions of a list ask for ``asked`` themselves; all others come from
    the nodes and groups that it ``uses``. ``in_a_loop``: a part of it was still being computed, so that the result
    depends on where packets entered."""

    out: Set
    continuations: list[tuple[Set, Continuation]] = field(default_factory=list)
    depends_on: int = 0
    asked: int = 0
    uses: tuple[Node | GroupUse, ...] = ()
    in_a_loop: bool = False

    def is_equal(self, other: Result) -> bool:
        """Whether packets have the same outcome, whatever it depends on."""
        return bool(self.out == other.out) and self.continuations == other.continuations


@dataclass(slots=True, eq=False)
class GroupUse:
    """The result of a group for packets in a state, by its key (see `SymbolicExecutor.group`)."""

    key: tuple[str, int, State]
    result: Result


@dataclass(slots=True, eq=False)
class Node:
    """A state at a table, with its edges (packets and the entry they match), the entries that are shadowed, the packets
    for which entries of equal priority differ, the transitions, and the next nodes on the same router."""

    router: str
    table: Table
    state: State
    result: Result
    edges: tuple[tuple[Set, Entry], ...] = ()
    shadowed: tuple[Entry, ...] = ()
    ambiguous: Set | None = None
    transitions: tuple[tuple[Set, Transition], ...] = ()
    successors: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """An effect of entries of a table on packets in a state, and its result."""

    router: str
    table: Table
    effect: Effect
    state: State
    result: Result = field(compare=False)
