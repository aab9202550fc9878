"""What of a packet's state can still matter at a place in the pipeline: the live variables there.

Two packets that differ only in what no entry ahead looks at have the same future. Knowing that, a table is gone through
once for each role or VPN and not once for each access line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    Action,
    Foreign,
    Group,
    GroupRule,
    Move,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    Table,
)
from helsewan.verification.concrete.packet import plain
from helsewan.verification.symbolic.tables import ALL_BITS, Effect, Shape, TableEntries, shape_of

TTLS = frozenset({"nw_ttl", "mpls_ttl"})


@dataclass(frozen=True)
class Liveness:
    """Fields, with their bits, that can matter; the ingress ports that matter; ``everything``: all fields can
    matter."""

    bits: Mapping[str, int] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()
    any_port: bool = False
    everything: bool = False

    def __or__(self, other: Liveness) -> Liveness:
        if other is self or other is _NOTHING:
            return self
        bits = dict(self.bits)
        for name, mask in other.bits.items():
            bits[name] = bits.get(name, 0) | mask
        return Liveness(
            bits, self.ports | other.ports, self.any_port or other.any_port, self.everything or other.everything
        )

    def without(self, name: str, mask: int = ALL_BITS) -> Liveness:
        """What can matter before some bits of a field are overwritten."""
        if name == "in_port":
            others = {each: bits for each, bits in self.bits.items() if each != name}
            return Liveness(others, everything=self.everything)
        if name not in self.bits:
            return self
        left = self.bits[name] & ~mask
        bits = {each: bits for each, bits in self.bits.items() if each != name}
        return replace(self, bits=bits | {name: left} if left else bits)


_NOTHING, _EVERYTHING = Liveness(), Liveness(everything=True)


class RouterLiveness:
    """What can matter at each table and group of one router; ``matched`` are the fields that any entry of the network
    looks at. ``known`` is of other rules of that router: of the same groups, and tables but for ``differ``."""

    def __init__(
        self,
        tables: Mapping[Table, TableEntries],
        groups: Mapping[int, GroupRule],
        matched: frozenset[str],
        known: RouterLiveness | None = None,
        differ: Collection[Table] = (),
    ) -> None:
        self._tables, self._groups, self._matched = tables, groups, matched
        self._at: dict[Table, Liveness] = {}
        self._of_group: dict[int, Liveness] = {}
        self._of_shape: dict[Shape, Liveness] = {}
        if known is not None:
            self._take_over(known, differ)

    def _take_over(self, known: RouterLiveness, differ: Collection[Table]) -> None:
        """What is known already, if tables that differ need the same as before: then so does all before them."""
        for table in known._tables:
            known.at(table)
        self._at = {table: needs for table, needs in known._at.items() if table not in differ}
        self._of_group, self._of_shape = dict(known._of_group), dict(known._of_shape)
        if any(self.at(table) != known.at(table) for table in differ):
            self._at, self._of_group, self._of_shape = {}, {}, {}

    def at(self, table: Table) -> Liveness:
        """Before a table is looked up."""
        if table not in self._at:
            self._at[table] = _EVERYTHING  # of a table that leads back to itself, which no switch accepts
            self._at[table] = self._before(self._tables.get(table))
        return self._at[table]

    def of_group(self, number: int) -> Liveness:
        """Before a group is asked."""
        if number not in self._of_group:
            self._of_group[number] = _EVERYTHING
            group, found = self._groups.get(number), _NOTHING
            for bucket in group.buckets if group else ():
                found |= self.acting((bucket.actions, None, None))
            self._of_group[number] = found
        return self._of_group[number]

    def _before(self, entries: TableEntries | None) -> Liveness:
        if entries is None:
            return _NOTHING
        bits: dict[str, int] = {}
        if not entries.is_uniform:
            for conditions in {(*entry.noted, *entry.header) for entry in entries.entries}:
                for name, _, mask in conditions:
                    bits[name] = bits.get(name, 0) | (ALL_BITS if mask is None else mask)
        found = Liveness(bits, any_port="in_port" in bits)
        for shape in {entry.shape for entry in entries.entries}:
            found |= self._acting(shape)
        return found

    def acting(self, effect: Effect) -> Liveness:
        """Before actions are done and what follows them."""
        return self._acting(shape_of(effect))

    def _acting(self, shape: Shape) -> Liveness:
        if shape not in self._of_shape:
            actions, goto, written = shape
            needs = _NOTHING if goto is None else self.at(goto)
            if written is not None:
                needs = needs.without("metadata", written)
            for action in reversed(actions):
                needs = self._doing(action, needs)
            self._of_shape[shape] = needs
        return self._of_shape[shape]

    def _doing(self, action: Action | tuple[str, int], after: Liveness) -> Liveness:
        match action:
            case (name, mask):
                return after.without(name, mask)
            case Output(port):
                return after | self._leaving(port)
            case Move(source, destination, _):
                wanted = plain(destination) in self._matched or plain(destination) in after.bits
                wanted |= plain(destination) in TTLS and plain(source) not in TTLS
                return after | Liveness({plain(source): ALL_BITS}) if wanted else after
            case PushVlan():  # there must not be one already
                return after | Liveness({"vlan_vid": ALL_BITS})
            case PopVlan():
                return after.without("vlan_vid")
            case Group(number):
                return after | self.of_group(number)
            case Resubmit(table):
                return after | self.at(table)
            case Foreign():
                return _EVERYTHING
        return after

    def _leaving(self, port: int) -> Liveness:
        if port == CONTROLLER:
            return _NOTHING
        if port == IN_PORT:
            return Liveness({"retagged": ALL_BITS}, any_port=True)
        return Liveness({"vlan_vid": ALL_BITS}, frozenset({port}))


def matched_fields(tables: Iterable[TableEntries]) -> frozenset[str]:
    """The fields that any entry looks at, where it matters which entry a packet meets."""
    entries = {entry for table in tables if not table.is_uniform for entry in table.entries}  # many are of all routers
    return frozenset(name for entry in entries for name, _, _ in (*entry.noted, *entry.header))
