"""Header and label rewriting of all packets in one state at once: set-field, load, move, push, tag and TTL actions.

Follows OpenFlow 1.3 and, where that leaves things open, Open vSwitch.
"""

from __future__ import annotations

from helsewan.controller.openflow.entries import (
    Action,
    DecMplsTtl,
    DecTtl,
    Load,
    Move,
    PopVlan,
    PushMpls,
    PushVlan,
    SetField,
    Table,
)
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.packet import number, plain
from helsewan.verification.symbolic.header_space import Set, Space
from helsewan.verification.symbolic.liveness import TTLS
from helsewan.verification.symbolic.states import (
    ALTERED,
    BROKEN,
    CLASS_TC,
    INNER_STACK,
    MISMARKED,
    RETAGGED,
    TTL,
    UNKNOWN,
    NotModelledError,
    Result,
    State,
)
from helsewan.verification.symbolic.tables import is_pipeline_field

_TTL_BITS = 8
_REWRITTEN = frozenset({"eth_src", "eth_dst", "eth_type", "ip_dscp"})  # headers that routers rewrite on every path
MARKING = Table.CONTRACT  # the last table that may classify packets


class HeaderRewriter:
    """Packets in one state at a table, and the actions that rewrite their headers. Raises NotModelledError for an
    action whose effect is not the same for all of them."""

    def __init__(self, space: Space, table: Table, state: State) -> None:
        self.space, self.table = space, table
        self.fields: dict[str, object] = dict(state.fields)
        self.stack, self.stripped = list(state.stack), state.stripped
        self.limit: Set = space.all  # the packets that have not ended yet
        self.result = Result(space.none)

    def rewrite(self, action: Action) -> None:
        """Executes an action that changes headers or pipeline fields, and sends nothing out."""
        match action:
            case DecTtl() | DecMplsTtl():
                if isinstance(action, DecMplsTtl) is bool(self.stack):  # else the packet has no such field
                    self.note_ttl(self.ttl + 1 if self.ttl == 0 else BROKEN)
            case PushVlan():
                if self.fields.get("vlan_vid", 0) != 0:
                    raise NotModelledError("a second VLAN tag")
                if "vlan_vid" not in self.fields:
                    untagged = self.space.equal("vlan_vid", 0)
                    self.result.out |= self.limit & ~untagged & self.space.out(UNKNOWN)
                    self.limit &= untagged
                self.tag(VLAN_PRESENT)
            case PopVlan():
                self.tag(0)
            case PushMpls():
                self.push()
            case SetField(name, value):
                self.set(plain(name), number(value))
            case Load(name, value, bits):
                self.load(plain(name), value, (1 << bits) - 1)
            case Move(source, destination, bits, from_bit, to_bit):
                self.move(plain(source), plain(destination), bits, from_bit, to_bit)
            case _:
                raise NotModelledError(str(action))

    def push(self) -> None:
        """Pushes a label, with the MPLS traffic class of the label below or of the DSCP."""
        if len(self.stack) == 3:
            raise NotModelledError("a fourth label")
        if not self.stack:
            dscp = self.fields.get("ip_dscp")
            self.stack.append((0, dscp & 7 if isinstance(dscp, int) else ("ip_dscp", 0, 3)))
        else:
            self.stack.append((0, CLASS_TC) if self.stack[-1] is INNER_STACK else self.stack[-1])

    def set(self, name: str, value: int) -> None:
        """Sets a field to a number."""
        if name in TTLS:
            if self.is_outermost(name):
                self.note_ttl(BROKEN)
        elif name in ("mpls_label", "mpls_tc"):
            if self.stack:
                label, tc = self.stack[-1]
                self.stack[-1] = (value, tc) if name == "mpls_label" else (label, value)
        elif name == "vlan_vid":
            if name not in self.fields:
                raise NotModelledError("a VLAN tag is set on packets that may have none")
            if self.fields[name] != 0:
                self.tag(value)
        elif name == "ip_dscp" and self.table > MARKING:
            correct = self.space.marked(value)
            self.result.out |= self.limit & ~correct & self.space.out(MISMARKED)
            self.limit &= correct
        else:
            self.write(name, value)

    @property
    def ttl(self) -> int:
        """How often this router has decremented the TTL of the outermost header, or BROKEN."""
        known = self.fields.get(TTL, 0)
        return known if isinstance(known, int) else BROKEN

    def note_ttl(self, ttl: int) -> None:
        """Notes what `ttl` is."""
        self.fields.pop(TTL, None)
        if ttl:
            self.fields[TTL] = ttl

    def is_outermost(self, name: str) -> bool:
        """Whether a TTL field is that of the outermost header; a switch cannot access any other one."""
        return (name == "mpls_ttl") is bool(self.stack)

    def move_ttl(self, source: str, destination: str, bits: int, offsets: int) -> None:
        """Copies the TTL of the outermost header to a register, or back."""
        if not all(map(self.is_outermost, {source, destination} & TTLS)) or {source, destination} <= TTLS:
            return  # the packet lacks one of the fields, or it is the same field
        if bits != _TTL_BITS or offsets:
            raise NotModelledError("a part of a TTL is copied")
        if source in TTLS:
            self.write(destination, (TTL, self.ttl, bits))
            return
        match self.fields.get(source):
            case (name, int(ttl), _) if name == TTL:
                self.note_ttl(ttl)
            case _:
                raise NotModelledError("a TTL is set from another field")

    def write(self, name: str, value: object) -> None:
        """Sets a field; packets count as altered if it is a header that routers do not rewrite on every path."""
        self.fields[name] = value
        if not is_pipeline_field(name) and name not in _REWRITTEN:
            self.fields[ALTERED] = 1

    def tag(self, vlan: int) -> None:
        """Sets the VLAN tag, 0 for none, and notes whether it still is the one of the access link; that is none where
        the access link has a port of its own."""
        if self.fields.get("in_port", TRUNK_PORT) != TRUNK_PORT and not vlan:
            self.fields.pop(RETAGGED, None)
        elif self.fields.get("vlan_vid") != vlan:
            self.fields[RETAGGED] = 1
        self.fields["vlan_vid"] = vlan

    def load(self, name: str, value: int, mask: int) -> None:
        """Sets the bits of a field under ``mask``."""
        before = self.fields.get(name, 0)
        if name in ("mpls_label", "mpls_tc") and self.stack:
            before = self.stack[-1][name == "mpls_tc"]
        if not isinstance(before, int):
            raise NotModelledError(f"a part of {name} is written")
        self.set(name, before & ~mask | value & mask)

    def move(self, source: str, destination: str, bits: int, from_bit: int, to_bit: int) -> None:
        """Copies bits of one field to another."""
        if source in TTLS or destination in TTLS:
            self.move_ttl(source, destination, bits, from_bit | to_bit)
            return
        value = self.stack[-1][1] if source == "mpls_tc" and self.stack else self.fields.get(source)
        if value is None:
            value = 0 if is_pipeline_field(source) else (source, from_bit, bits)
        elif isinstance(value, int):
            value = value >> from_bit & (1 << bits) - 1
        elif from_bit or value[2] != bits:  # type: ignore[index]
            raise NotModelledError(f"a part of {source} is read")
        if to_bit:
            raise NotModelledError(f"a part of {destination} is written")
        if isinstance(value, int):
            self.load(destination, value, (1 << bits) - 1)
        elif destination == "mpls_tc":
            if self.stack and self.stack[-1] is not INNER_STACK:
                self.stack[-1] = self.stack[-1][0], value
        elif destination in ("vlan_vid", "mpls_label") or (destination == "ip_dscp" and self.table > MARKING):
            raise NotModelledError(f"{destination} is copied from another field")
        else:
            self.write(destination, value)
