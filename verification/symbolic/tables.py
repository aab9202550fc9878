"""A table's entries, ready to be asked for those that packets in one state can meet, and which of them takes what.

What a switch noted of a packet (its port of entry, metadata, registers, tag, labels) is mostly one number in all
packets that come to a table together. So entries are found by hash by these fields, as in
`helsewan.verification.concrete.lookup`, and only the headers of those found are sets of packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from helsewan.controller.openflow.entries import MPLS, Action, FlowRule, Load, SetField, Table, Value
from helsewan.verification.concrete.packet import number, plain
from helsewan.verification.symbolic.header_space import Set, Space

NOTED = frozenset({"in_port", "vlan_vid", "metadata", "mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl", "retagged"})
NOTED |= {f"reg{number}" for number in range(16)}  # those of several registers together are not modelled

_ETHERNET = frozenset({"eth_src", "eth_dst"})

Condition = tuple[str, int, "int | None"]  # field, value, mask (None: all of it)
Effect = tuple[tuple[Action, ...], "Table | None", "tuple[int, int] | None"]  # what an entry does, its meter aside
# An effect but for the values that it writes: bits of a field, as a mask, in place of the action that overwrites them.
Shape = tuple[tuple["Action | tuple[str, int]", ...], "Table | None", "int | None"]
ALL_BITS = -1


def is_noted(name: str) -> bool:
    """Whether a field is the switch's own, or a label's or a tag's."""
    return name in NOTED


def shape_of(effect: Effect) -> Shape:
    """What an effect looks at and overwrites. A tag is set only where there is one, so that it still matters before."""
    actions, goto, written = effect
    bare: list[Action | tuple[str, int]] = []
    for action in actions:
        match action:
            case SetField(name, _):
                if plain(name) != "vlan_vid":
                    bare.append((plain(name), ALL_BITS))
            case Load(name, _, bits):
                bare.append((plain(name), ALL_BITS if plain(name) == "in_port" else (1 << bits) - 1))
            case _:
                bare.append(action)
    return tuple(bare), goto, None if written is None else written[1]


class Entry:
    """A flow entry with its match split into switch state and packet headers."""

    __slots__ = ("_space", "_takes", "effect", "header", "key", "noted", "priority", "rule", "shape", "unseen")

    def __init__(self, rule: FlowRule, space: Space, keys: dict[tuple[Condition, ...], int]) -> None:
        conditions = sorted(_condition(name, value) for name, value in rule.match)
        self.rule, self.priority = rule, rule.priority
        self.noted = tuple(each for each in conditions if is_noted(each[0]))
        self.header = tuple(each for each in conditions if not is_noted(each[0]))
        self.unseen = tuple(name for name, _, _ in self.noted if name in ("mpls_tc", "mpls_ttl"))
        self.effect: Effect = rule.actions, rule.goto, rule.metadata
        self.shape = shape_of(self.effect)
        self.key = keys.setdefault(self.header, len(keys))  # equal for entries that look for the same headers
        self._space = space
        self._takes: tuple[Set, Set] | None = None
        for name, _, _ in self.header:
            space.check_field(name)

    def takes(self, *, labelled: bool) -> Set:
        """The packets that it takes, of those whose headers are as they were sent, or of those that labels hide."""
        if self._takes is None:
            plain_ones, hidden = self._space.all, self._space.all
            for name, value, mask in self.header:
                those = self._space.match(name, value, mask)
                plain_ones &= those
                if not (name == "eth_type" and MPLS & (-1 if mask is None else mask) == value):
                    hidden &= those if name in _ETHERNET else self._space.none
            self._takes = plain_ones, hidden
        return self._takes[labelled]


def _condition(name: str, value: Value | tuple[Value, Value]) -> Condition:
    if isinstance(value, tuple):
        mask = number(value[1])
        return plain(name), number(value[0]) & mask, mask
    return plain(name), number(value), None


class TableEntries:
    """One table of one router."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._shapes: dict[tuple[tuple[str, int | None], ...], dict[tuple[int, ...], list[Entry]]] = {}
        for entry in self.entries:
            shape = tuple((name, mask) for name, _, mask in entry.noted)
            values = tuple(value for _, value, _ in entry.noted)
            self._shapes.setdefault(shape, {}).setdefault(values, []).append(entry)

    def met_by(self, noted: Callable[[str], int | None]) -> list[Entry]:
        """The entries that packets in one state may meet, of highest priority first; ``noted`` gives a field's value,
        None where packets have different ones, and -1 where they have none."""
        found: list[Entry] = []
        for shape, by_values in self._shapes.items():
            values = [(noted(name), mask) for name, mask in shape]
            # What a packet has not is -1, which no entry wants.
            key = tuple(v if v is None or m is None or v == -1 else v & m for v, m in values)
            if None not in key:
                found += by_values.get(key, ())  # type: ignore[arg-type]
                continue
            for wanted, entries in by_values.items():
                pairs = zip(values, wanted, strict=True)
                if all(v is None or v == w or (m is not None and v != -1 and v & m == w) for (v, m), w in pairs):
                    found += entries
        found.sort(key=_rank)
        return found

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all entries do the same, and one of them takes every packet: then which one it is does not matter."""
        if not self.entries:
            return False
        some = any(not entry.noted and not entry.header for entry in self.entries)
        return some and len({entry.effect for entry in self.entries}) == 1


def _rank(entry: Entry) -> int:
    return -entry.priority


@dataclass(frozen=True)
class Shares:
    """Which of some entries takes what: sets that do not overlap, in the entries' order, and pairs of entries (by
    place) of one priority that some packet matches both."""

    taken: tuple[Set, ...]
    rest: Set
    alike: tuple[tuple[int, int, Set], ...]


@dataclass
class Partition:
    """Works shares out, once for entries that look for the same, on whichever router."""

    space: Space
    known: dict[tuple[bool, tuple[tuple[int, int], ...]], Shares] = field(default_factory=dict)

    def of(self, entries: list[Entry], *, labelled: bool) -> Shares:
        """The shares of entries in order of priority, of packets with headers as they were sent, or under labels."""
        key = labelled, tuple((entry.priority, entry.key) for entry in entries)
        if key not in self.known:
            wanted = [(entry.priority, entry.takes(labelled=labelled)) for entry in entries]
            self.known[key] = self.among(wanted)
        return self.known[key]

    def among(self, wanted: list[tuple[int, Set]]) -> Shares:
        """The shares of sets by priority, the highest first."""
        none, left = self.space.none, self.space.all
        taken: list[Set] = []
        alike: list[tuple[int, int, Set]] = []
        first, of_rank = 0, none  # where this priority begins, and what its entries before this one want
        for place, (priority, wants) in enumerate(wanted):
            if place and wanted[place - 1][0] != priority:
                first, of_rank = place, none
            if left == none and of_rank == none:
                taken.append(none)
                continue
            if of_rank != none and wants & of_rank != none:
                alike += [
                    (other, place, both) for other in range(first, place) if (both := taken[other] & wants) != none
                ]
            taken.append(wants & left)
            of_rank |= taken[-1]
            left &= ~wants
        return Shares(tuple(taken), left, tuple(alike))
