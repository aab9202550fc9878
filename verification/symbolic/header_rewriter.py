"""Header and label rewriting, done to all packets of a state at once: set-field, load, move, push, tag and TTL actions.

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
    BENEATH,
    CLASS_TC,
    MISMARKED,
    RETAGGED,
    UNKNOWN,
    NotModelledError,
    Result,
    State,
)
from helsewan.verification.symbolic.tables import is_noted

_NOTED_TTL = "ttl", 0, 8
_REWRITTEN = frozenset({"eth_src", "eth_dst", "eth_type", "ip_dscp"})  # of headers, what routers change
MARKING = Table.CONTRACT  # the last table that may give a packet its class


class HeaderRewriter:
    """Packets in one state at a table, and the actions that rewrite their headers. Raises NotModelledError for what
    cannot be said of all of them at once."""

    def __init__(self, space: Space, table: Table, state: State) -> None:
        self.space, self.table = space, table
        self.notes: dict[str, object] = dict(state.notes)
        self.stack, self.stripped = list(state.stack), state.stripped
        self.limit: Set = space.all  # those of the packets that are still under way
        self.result = Result(space.none)

    def rewrite(self, action: Action) -> None:
        """Whatever changes packets or notes, and sends nothing out."""
        match action:
            case DecTtl() | DecMplsTtl():
                return
            case PushVlan():
                if self.notes.get("vlan_vid", 0) != 0:
                    raise NotModelledError("a second tag")
                if "vlan_vid" not in self.notes:
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
        """A label more, with the class of what is beneath."""
        if len(self.stack) == 3:
            raise NotModelledError("a fourth label")
        if not self.stack:
            dscp = self.notes.get("ip_dscp")
            self.stack.append((0, dscp & 7 if isinstance(dscp, int) else ("ip_dscp", 0, 3)))
        else:
            self.stack.append((0, CLASS_TC) if self.stack[-1] is BENEATH else self.stack[-1])

    def set(self, name: str, value: int) -> None:
        """A field becomes a number."""
        if name in TTLS:
            return
        if name in ("mpls_label", "mpls_tc"):
            if self.stack:
                label, tc = self.stack[-1]
                self.stack[-1] = (value, tc) if name == "mpls_label" else (label, value)
        elif name == "vlan_vid":
            if name not in self.notes:
                raise NotModelledError("a tag that is changed where there may be none")
            if self.notes[name] != 0:
                self.tag(value)
        elif name == "ip_dscp" and self.table > MARKING:
            right = self.space.marked(value)
            self.result.out |= self.limit & ~right & self.space.out(MISMARKED)
            self.limit &= right
        else:
            self.write(name, value)

    def write(self, name: str, value: object) -> None:
        """A field becomes something, which shows in packets if it is one of their headers."""
        self.notes[name] = value
        if not is_noted(name) and name not in _REWRITTEN:
            self.notes[ALTERED] = 1

    def tag(self, vlan: int) -> None:
        """Another tag, or none. On a port of its own, a line's packets have none."""
        if self.notes.get("in_port", TRUNK_PORT) != TRUNK_PORT and not vlan:
            self.notes.pop(RETAGGED, None)
        elif self.notes.get("vlan_vid") != vlan:
            self.notes[RETAGGED] = 1
        self.notes["vlan_vid"] = vlan

    def load(self, name: str, value: int, mask: int) -> None:
        """The low bits of a field become a number."""
        before = self.notes.get(name, 0)
        if name in ("mpls_label", "mpls_tc") and self.stack:
            before = self.stack[-1][name == "mpls_tc"]
        if not isinstance(before, int):
            raise NotModelledError(f"a part of {name}")
        self.set(name, before & ~mask | value & mask)

    def move(self, source: str, destination: str, bits: int, from_bit: int, to_bit: int) -> None:
        """Bits of one field into another."""
        if source in TTLS or destination in TTLS:
            if destination not in TTLS:
                self.notes[destination] = _NOTED_TTL
            elif source not in TTLS and self.notes.get(source) != _NOTED_TTL:
                raise NotModelledError("a TTL that is none")
            return
        value = self.stack[-1][1] if source == "mpls_tc" and self.stack else self.notes.get(source)
        if value is None:
            value = 0 if is_noted(source) else (source, from_bit, bits)
        elif isinstance(value, int):
            value = value >> from_bit & (1 << bits) - 1
        elif from_bit or value[2] != bits:  # type: ignore[index]
            raise NotModelledError(f"a part of {source}")
        if to_bit:
            raise NotModelledError(f"a part of {destination}")
        if isinstance(value, int):
            self.load(destination, value, (1 << bits) - 1)
        elif destination == "mpls_tc":
            if self.stack and self.stack[-1] is not BENEATH:
                self.stack[-1] = self.stack[-1][0], value
        elif destination in ("vlan_vid", "mpls_label") or (destination == "ip_dscp" and self.table > MARKING):
            raise NotModelledError(f"{destination} is copied from elsewhere")
        else:
            self.write(destination, value)
