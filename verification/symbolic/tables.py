"""A table's entries, indexed by pipeline fields, and the set of packets that matches each of them.

Pipeline fields here are what a switch knows of a packet beside its headers (ingress port, metadata, registers), its
VLAN tag and its labels. All packets of one state mostly share one value of each. So entries are found by hash by these
fields, as in `helsewan.verification.concrete.lookup`, and only the headers of those found are sets of packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from helsewan.controller.openflow.entries import MPLS, Action, FlowRule, Load, SetField, Table, Value
from helsewan.verification.concrete.packet import number, plain
from helsewan.verification.symbolic.header_space import Set, Space

PIPELINE_FIELDS = frozenset(
    {"in_port", "vlan_vid", "metadata", "mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl", "retagged", "ttl"}
)
PIPELINE_FIELDS |= {f"reg{number}" for number in range(16)}  # fields of joined registers are not modelled

_ETHERNET = frozenset({"eth_src", "eth_dst"})

Condition = tuple[str, int, "int | None"]  # field, value, mask (None: all bits)
# Actions, next table, and metadata to write (value, mask); the meter is left out.
Effect = tuple[tuple[Action, ...], "Table | None", "tuple[int, int] | None"]
# An effect without the values that it writes: a field and a mask in place of each action that overwrites bits.
Shape = tuple[tuple["Action | tuple[str, int]", ...], "Table | None", "int | None"]
ALL_BITS = -1


def is_pipeline_field(name: str) -> bool:
    """Whether a field is one of `PIPELINE_FIELDS`."""
    return name in PIPELINE_FIELDS


def shape_of(effect: Effect) -> Shape:
    """What an effect reads and overwrites. Setting a VLAN tag is no overwriting, since it depends on there being
    one."""
    actions, goto, metadata = effect
    shape: list[Action | tuple[str, int]] = []
    for action in actions:
        match action:
            case SetField(name, _):
                if plain(name) != "vlan_vid":
                    shape.append((plain(name), ALL_BITS))
            case Load(name, _, bits):
                shape.append((plain(name), ALL_BITS if plain(name) == "in_port" else (1 << bits) - 1))
            case _:
                shape.append(action)
    return tuple(shape), goto, None if metadata is None else metadata[1]


class Entry:
    """A flow entry with its match split into pipeline fields and packet headers."""

    __slots__ = (
        "_match_sets",
        "_space",
        "effect",
        "header_conditions",
        "key",
        "label_conditions",
        "pipeline_conditions",
        "priority",
        "rule",
        "shape",
    )

    def __init__(self, rule: FlowRule, space: Space, keys: dict[tuple[Condition, ...], int]) -> None:
        conditions = sorted(_condition(name, value) for name, value in rule.match)
        self.rule, self.priority = rule, rule.priority
        self.pipeline_conditions = tuple(each for each in conditions if is_pipeline_field(each[0]))
        self.header_conditions = tuple(each for each in conditions if not is_pipeline_field(each[0]))
        self.label_conditions = tuple(
            name for name, _, _ in self.pipeline_conditions if name in ("mpls_tc", "mpls_ttl")
        )
        self.effect: Effect = rule.actions, rule.goto, rule.metadata
        self.shape = shape_of(self.effect)
        self.key = keys.setdefault(self.header_conditions, len(keys))  # equal for entries that match the same headers
        self._space = space
        self._match_sets: tuple[Set, Set] | None = None
        for name, _, _ in self.header_conditions:
            space.check_field(name)

    def match_set(self, *, labelled: bool) -> Set:
        """The packets that match, of those whose headers are as they were sent; ``labelled``: of those under labels,
        where a switch reads only Ethernet addresses."""
        if self._match_sets is None:
            unlabelled, under_labels = self._space.all, self._space.all
            for name, value, mask in self.header_conditions:
                subset = self._space.match(name, value, mask)
                unlabelled &= subset
                if not (name == "eth_type" and MPLS & (-1 if mask is None else mask) == value):
                    under_labels &= subset if name in _ETHERNET else self._space.none
            self._match_sets = unlabelled, under_labels
        return self._match_sets[labelled]


def _condition(name: str, value: Value | tuple[Value, Value]) -> Condition:
    if isinstance(value, tuple):
        mask = number(value[1])
        return plain(name), number(value[0]) & mask, mask
    return plain(name), number(value), None


class TableEntries:
    """The entries of one table of one router."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._shapes: dict[tuple[tuple[str, int | None], ...], dict[tuple[int, ...], list[Entry]]] = {}
        for entry in self.entries:
            shape = tuple((name, mask) for name, _, mask in entry.pipeline_conditions)
            values = tuple(value for _, value, _ in entry.pipeline_conditions)
            self._shapes.setdefault(shape, {}).setdefault(values, []).append(entry)

    def candidates(self, value_of: Callable[[str], int | None]) -> list[Entry]:
        """The entries that packets in one state may match, by descending priority. ``value_of`` gives a pipeline
        field's value, None where packets differ in it, and -1 where they do not have it."""
        found: list[Entry] = []
        for shape, by_values in self._shapes.items():
            values = [(value_of(name), mask) for name, mask in shape]
            # A missing field is -1, which no entry matches.
            key = tuple(v if v is None or m is None or v == -1 else v & m for v, m in values)
            if None not in key:
                found += by_values.get(key, ())  # type: ignore[arg-type]
                continue
            for match_sets, entries in by_values.items():
                pairs = zip(values, match_sets, strict=True)
                if all(v is None or v == w or (m is not None and v != -1 and v & m == w) for (v, m), w in pairs):
                    found += entries
        found.sort(key=_by_priority)
        return found

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all entries have the same effect, and one of them matches every packet."""
        if not self.entries:
            return False
        matches_all = any(not entry.pipeline_conditions and not entry.header_conditions for entry in self.entries)
        return matches_all and len({entry.effect for entry in self.entries}) == 1


def _by_priority(entry: Entry) -> int:
    return -entry.priority


@dataclass(frozen=True)
class Shares:
    """The disjoint sets of packets that some entries take, in the entries' order; the packets that none takes; and
    pairs of entries of equal priority, by index, with the packets that match both."""

    taken: tuple[Set, ...]
    rest: Set
    ambiguous: tuple[tuple[int, int, Set], ...]


@dataclass
class Partition:
    """Computes shares, once for entries with equal header matches on all routers."""

    space: Space
    known: dict[tuple[bool, tuple[tuple[int, int], ...]], Shares] = field(default_factory=dict)

    def of(self, entries: list[Entry], *, labelled: bool) -> Shares:
        """The shares of entries, by descending priority, of packets with headers as they were sent, or under labels."""
        key = labelled, tuple((entry.priority, entry.key) for entry in entries)
        if key not in self.known:
            match_sets = [(entry.priority, entry.match_set(labelled=labelled)) for entry in entries]
            self.known[key] = self.among(match_sets)
        return self.known[key]

    def among(self, match_sets: list[tuple[int, Set]]) -> Shares:
        """The shares of match sets, given with their priorities in descending order."""
        none, left = self.space.none, self.space.all
        taken: list[Set] = []
        ambiguous: list[tuple[int, int, Set]] = []
        first, of_priority = 0, none  # the first entry of this priority, and what earlier ones of it have taken
        for index, (priority, matches) in enumerate(match_sets):
            if index and match_sets[index - 1][0] != priority:
                first, of_priority = index, none
            if left == none and of_priority == none:
                taken.append(none)
                continue
            if of_priority != none and matches & of_priority != none:
                ambiguous += [
                    (other, index, both) for other in range(first, index) if (both := taken[other] & matches) != none
                ]
            taken.append(matches & left)
            of_priority |= taken[-1]
            left &= ~matches
        return Shares(tuple(taken), left, tuple(ambiguous))
