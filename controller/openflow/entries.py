"""Flow, group and meter entries as values, independent of any framework.

Field names are OpenFlow's OXM names and Open vSwitch's NXM names as Ryu spells them; addresses are
text, numbers are numbers. Everything is frozen and hashable: equal entries are serialised once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

IPV4, ARP, IPV6, MPLS, VLAN = 0x0800, 0x0806, 0x86DD, 0x8847, 0x8100  # EtherTypes

Value = int | str
Match = tuple[tuple[str, "Value | tuple[Value, Value]"], ...]


class Table(IntEnum):
    """Flow tables in the order of the pipeline: packets from sites, from the core, delivery to sites, MTU check
    (``FIT``), replies to neighbour solicitations, and diversion while a site's access link is down (``OTHER_LINE``)."""

    ADMIT = 0
    VRF = 1
    CONTRACT = 2
    POLICE = 3
    ROUTE = 4
    CORE = 5
    VPN = 6
    DELIVER = 7
    FIT = 8
    NEIGHBOUR = 9
    OTHER_LINE = 10

    @classmethod
    def _missing_(cls, value: object) -> Table:
        """A table that the pipeline does not use: a switch has 254, and another controller may have added rules."""
        assert isinstance(value, int)
        other = int.__new__(cls, value)
        other._name_, other._value_ = f"TABLE {value}", value
        return other


@dataclass(frozen=True, slots=True)
class Output:
    """Send out of a port (or a reserved port, see ``IN_PORT``)."""

    port: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Overwrite a header field."""

    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class Load:
    """Overwrite the low ``bits`` bits of a field by Nicira extension (fields OpenFlow keeps read-only)."""

    field: str
    value: int
    bits: int


@dataclass(frozen=True, slots=True)
class Move:
    """Copy ``bits`` bits from one field to another (Nicira extension)."""

    source: str
    destination: str
    bits: int
    source_offset: int = 0
    destination_offset: int = 0


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Push an empty 802.1Q tag."""


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Pop the 802.1Q tag."""


@dataclass(frozen=True, slots=True)
class PushMpls:
    """Push a label stack entry with TTL and TC of the entry below, or the TTL of the IP header."""


@dataclass(frozen=True, slots=True)
class PopMpls:
    """Pop the top label; ``eth_type`` is the EtherType of the header below."""

    eth_type: int


@dataclass(frozen=True, slots=True)
class DecTtl:
    """Decrement the IP TTL or hop limit; a packet whose TTL would reach zero is sent to the controller instead."""


@dataclass(frozen=True, slots=True)
class DecMplsTtl:
    """Decrement the TTL of the top label; a packet whose TTL would reach zero is sent to the controller instead."""


@dataclass(frozen=True, slots=True)
class CheckLarger:
    """Set the lowest bit of a register if the frame, without VLAN tags, is longer than ``frame_bytes``, else clear it
    (Nicira extension)."""

    frame_bytes: int
    register: str


@dataclass(frozen=True, slots=True)
class Group:
    """Send the packet to a group."""

    id: int


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the packet up in a table (Nicira extension). The only way to continue in a table after a group."""

    table: Table


@dataclass(frozen=True, slots=True)
class Foreign:
    """An item read back from a switch that this pipeline does not use. It is never sent."""

    what: str


Action = (
    Output
    | SetField
    | Load
    | Move
    | PushVlan
    | PopVlan
    | PushMpls
    | PopMpls
    | DecTtl
    | DecMplsTtl
    | CheckLarger
    | Group
    | Resubmit
    | Foreign
)

TLV = "tlv"  # name of an unknown field read from a switch; the value is its bytes in hex
IN_PORT = 0xFFFFFFF8  # OFPP_IN_PORT: the ingress port
CONTROLLER = 0xFFFFFFFD  # OFPP_CONTROLLER: punts the packet to the slow path
CONTROLLER_METER = 0xFFFFFFFE  # OFPM_CONTROLLER: limits all packets sent to the controller


@dataclass(frozen=True, slots=True)
class FlowRule:
    """A flow entry. ``metadata`` is the (value, mask) that it writes, ``meter`` the id of a meter. The timeouts, in
    seconds, are those read back from a switch; 0, as in all entries of ours, means that it does not expire."""

    table: Table
    priority: int
    match: Match
    actions: tuple[Action, ...] = ()
    goto: Table | None = None
    metadata: tuple[int, int] | None = None
    meter: int | None = None
    cookie: int = 0
    idle_timeout_s: int = 0
    hard_timeout_s: int = 0

    def __str__(self) -> str:
        steps = [_action_text(action) for action in self.actions]
        steps += [f"meter {self.meter}"] if self.meter is not None else []
        steps += [f"metadata {self.metadata[0]:#x}/{self.metadata[1]:#x}"] if self.metadata else []
        steps += [f"goto {_value_text(self.goto)}"] if self.goto is not None else []
        steps += [f"expires when unused for {self.idle_timeout_s} s"] if self.idle_timeout_s else []
        steps += [f"expires after {self.hard_timeout_s} s"] if self.hard_timeout_s else []
        matched = ", ".join(f"{field}={_match_text(field, value)}" for field, value in self.match) or "anything"
        return f"table {_value_text(self.table)}, priority {self.priority}: {matched} -> {'; '.join(steps) or 'drop'}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of a group, used while ``watch_port`` is up."""

    watch_port: int
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class GroupRule:
    """A fast-failover group: applies the first bucket whose port is up, and drops packets if there is none."""

    id: int
    buckets: tuple[Bucket, ...]

    def __str__(self) -> str:
        shown = [f"port {b.watch_port} up: {'; '.join(map(_action_text, b.actions))}" for b in self.buckets]
        return f"group {self.id}: {' | '.join(shown) or 'drop'}"


@dataclass(frozen=True, slots=True)
class MeterRule:
    """A meter that drops traffic above ``rate_kbps`` after a burst of ``burst_kbit``."""

    id: int
    rate_kbps: int
    burst_kbit: int

    def __str__(self) -> str:
        return f"meter {self.id}: drop above {self.rate_kbps} kbit/s, burst {self.burst_kbit} kbit"


@dataclass(frozen=True, slots=True)
class PacketMeterRule:
    """A meter that drops packets of any length above ``rate_pps`` after a burst of ``burst_packets``."""

    id: int
    rate_pps: int
    burst_packets: int

    def __str__(self) -> str:
        return f"meter {self.id}: drop above {self.rate_pps} packets a second, burst {self.burst_packets}"


AnyMeter = MeterRule | PacketMeterRule
Entry = FlowRule | GroupRule | AnyMeter


@dataclass(frozen=True, slots=True)
class Port:
    """A port as a switch reports it: what is configured (of `PORT_CONFIG`) and its state (of `PORT_STATE`)."""

    number: int
    config: tuple[str, ...] = ()
    state: tuple[str, ...] = ("live",)

    @property
    def is_dead(self) -> bool:
        """Whether it cannot send: its carrier or its BFD session is down."""
        return "link_down" in self.state or "live" not in self.state

    def __str__(self) -> str:
        return f"port {self.number} ({', '.join((*self.config, *self.state)) or 'not live'})"


# Names of the bits in a port's description (OpenFlow 1.3.5, 7.2.1).
PORT_CONFIG = {"port_down": 1, "no_receive": 4, "no_forward": 32, "no_packet_in": 64}
PORT_STATE = {"link_down": 1, "blocked": 2, "live": 4}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The entries of one switch in the order of installation: an entry comes after those that it refers to. ``ports``
    are those of the switch that the entries were read from, none for intended entries; they are no entries."""

    meters: tuple[AnyMeter, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    flows: tuple[FlowRule, ...] = ()
    ports: tuple[Port, ...] = ()

    def __add__(self, other: RuleSet) -> RuleSet:
        return RuleSet(
            self.meters + other.meters, self.groups + other.groups, self.flows + other.flows, self.ports + other.ports
        )

    def __iter__(self) -> Iterator[Entry]:
        yield from self.meters
        yield from self.groups
        yield from self.flows

    def __len__(self) -> int:
        return len(self.meters) + len(self.groups) + len(self.flows)


def without_duplicates(rules: Iterable[FlowRule]) -> tuple[FlowRule, ...]:
    """The rules without those that have table, priority and match of an earlier one, which a switch would overwrite."""
    kept: dict[tuple[Table, int, Match], FlowRule] = {}
    for rule in rules:
        kept.setdefault((rule.table, rule.priority, rule.match), rule)
    return tuple(kept.values())


def _action_text(action: Action) -> str:
    """An action as text: name and values."""
    values = [_value_text(getattr(action, slot)) for slot in action.__slots__]
    match action:
        case SetField(field, value):
            values = [field, _match_text(field, value)]
        case PopMpls(eth_type):
            values = [_match_text("eth_type", eth_type)]
    return " ".join([type(action).__name__, *values])


# Fields that are written as hex everywhere: in witnesses, in dumps and in messages.
HEX_FIELDS = frozenset({"metadata", "vlan_vid", "eth_type"})


def _match_text(field: str, value: object) -> str:
    """A match field's value, and its mask, in one number base for each field."""
    if field in HEX_FIELDS or field.startswith(("reg", "xreg")):
        parts = value if isinstance(value, tuple) else (value,)
        return "/".join(f"{part:#x}" if isinstance(part, int) else str(part) for part in parts)
    return _value_text(value)


def _value_text(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(_value_text(part) for part in value)
    return value.name.lower() if isinstance(value, Table) else str(value)
