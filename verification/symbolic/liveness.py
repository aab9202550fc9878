"""Live-variable analysis of the pipeline: the parts of a packet's state that can still affect its result at a table.

Two packets that differ only in what no later entry reads have the same result. So a table is executed symbolically once
for each role or VPN, and not once for each access link.
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
    """The live fields, as masks of their live bits; the ingress ports that are distinguished, or ``any_port`` for all;
    ``everything``: all fields are live."""

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
        """What is live before bits of a field are overwritten."""
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
    """What is live at each table and group of one router; ``matched`` are the fields that any entry of the network
    matches. ``known`` is the analysis of previous rules of the router, with equal groups and with equal tables except
    those in ``changed``."""

    def __init__(
        self,
        tables: Mapping[Table, TableEntries],
        groups: Mapping[int, GroupRule],
        matched: frozenset[str],
        known: RouterLiveness | None = None,
        changed: Collection[Table] = (),
    ) -> None:
        self._tables, self._groups, self._matched = tables, groups, matched
        self._at: dict[Table, Liveness] = {}
        self._of_group: dict[int, Liveness] = {}
        self._of_shape: dict[Shape, Liveness] = {}
        if known is not None:
            self._reuse(known, changed)

    def _reuse(self, known: RouterLiveness, changed: Collection[Table]) -> None:
        """Reuses what is known if liveness at the changed tables is as before: then so it is at all earlier tables."""
        for table in known._tables:
            known.at(table)
        self._at = {table: live for table, live in known._at.items() if table not in changed}
        self._of_group, self._of_shape = dict(known._of_group), dict(known._of_shape)
        if any(self.at(table) != known.at(table) for table in changed):
            self._at, self._of_group, self._of_shape = {}, {}, {}

    def at(self, table: Table) -> Liveness:
        """What is live before a lookup in ``table``."""
        if table not in self._at:
            self._at[table] = _EVERYTHING  # for a table that leads back to itself, which no switch accepts
            self._at[table] = self._before_table(self._tables.get(table))
        return self._at[table]

    def of_group(self, number: int) -> Liveness:
        """What is live before group ``number`` is executed."""
        if number not in self._of_group:
            self._of_group[number] = _EVERYTHING
            group, found = self._groups.get(number), _NOTHING
            for bucket in group.buckets if group else ():
                found |= self.before_effect((bucket.actions, None, None))
            self._of_group[number] = found
        return self._of_group[number]

    def _before_table(self, entries: TableEntries | None) -> Liveness:
        if entries is None:
            return _NOTHING
        bits: dict[str, int] = {}
        if not entries.is_uniform:
            for conditions in {(*entry.pipeline_conditions, *entry.header_conditions) for entry in entries.entries}:
                for name, _, mask in conditions:
                    bits[name] = bits.get(name, 0) | (ALL_BITS if mask is None else mask)
        found = Liveness(bits, any_port="in_port" in bits)
        for shape in {entry.shape for entry in entries.entries}:
            found |= self._before_shape(shape)
        return found

    def before_effect(self, effect: Effect) -> Liveness:
        """What is live before the actions of an effect."""
        return self._before_shape(shape_of(effect))

    def _before_shape(self, shape: Shape) -> Liveness:
        if shape not in self._of_shape:
            actions, goto, metadata = shape
            live = _NOTHING if goto is None else self.at(goto)
            if metadata is not None:
                live = live.without("metadata", metadata)
            for action in reversed(actions):
                live = self._before_action(action, live)
            self._of_shape[shape] = live
        return self._of_shape[shape]

    def _before_action(self, action: Action | tuple[str, int], after: Liveness) -> Liveness:
        match action:
            case (name, mask):
                return after.without(name, mask)
            case Output(port):
                return after | self._before_output(port)
            case Move(source, destination, _):
                is_read = plain(destination) in self._matched or plain(destination) in after.bits
                is_read |= plain(destination) in TTLS and plain(source) not in TTLS
                return after | Liveness({plain(source): ALL_BITS}) if is_read else after
            case PushVlan():  # pushing a second tag is not modelled
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

    def _before_output(self, port: int) -> Liveness:
        if port == CONTROLLER:
            return _NOTHING
        if port == IN_PORT:
            return Liveness({"retagged": ALL_BITS}, any_port=True)
        return Liveness({"vlan_vid": ALL_BITS}, frozenset({port}))


def matched_fields(tables: Iterable[TableEntries]) -> frozenset[str]:
    """The fields that any entry matches, in tables whose entries differ in effect."""
    entries = {
        entry for table in tables if not table.is_uniform for entry in table.entries
    }  # many are shared by all routers
    return frozenset(name for entry in entries for name, _, _ in (*entry.pipeline_conditions, *entry.header_conditions))
