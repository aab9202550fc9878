"""A packet as immutable data, and the header that a switch reads and rewrites.

Field names are those of `helsewan.controller.openflow.entries`; a field's Nicira name (``in_port_nxm``) and its
OpenFlow name are the same field. Values are integers, addresses included. The set of fields is open: a new protocol
needs no change here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from ipaddress import ip_address

from helsewan.controller.openflow.entries import IPV4, IPV6, MPLS, Value

_DEFAULT_TTL = 64  # also the TTL of a label pushed on a packet without one (flow_push_mpls)
_EXPLICIT_NULL = {IPV4: 0, IPV6: 2}  # the value of a pushed label until it is set (RFC 3032, 2.1)

_TRANSPORT_FIELDS = {
    1: ("icmpv4_type", "icmpv4_code"),
    6: ("tcp_src", "tcp_dst"),
    17: ("udp_src", "udp_dst"),
    132: ("sctp_src", "sctp_dst"),
    58: ("icmpv6_type", "icmpv6_code"),
}
_NO_REGISTERS: Mapping[str, int] = {}
_SPELLINGS = {"nd_target": "ipv6_nd_target", "nd_sll": "ipv6_nd_sll", "nd_tll": "ipv6_nd_tll"}
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_SWITCH_FIELD = re.compile(r"in_port|metadata|x{0,2}reg\d|mpls_")
_ETHERNET = re.compile(r"eth_src|eth_dst|vlan_")


@cache
def plain(name: str) -> str:
    """The canonical name of a field, from its OpenFlow or Nicira name."""
    name = name.removesuffix("_nxm")
    return _SPELLINGS.get(name, name)


@cache
def _is_switch_field(name: str) -> bool:
    """Whether a field belongs to the switch or to a label, and is not among `Packet.fields`."""
    return bool(_SWITCH_FIELD.match(name))


@cache
def _is_register(name: str) -> bool:
    """Whether a field is the metadata or a register."""
    return name == "metadata" or "reg" in name


@cache
def _is_hidden(name: str) -> bool:
    """Whether a label stack hides a field from matches."""
    return not (_is_switch_field(name) or _ETHERNET.match(name))


@lru_cache(maxsize=1 << 16)
def number(value: Value) -> int:
    """A field's value as an integer; text is a MAC, IPv4 or IPv6 address.

    Raises ValueError for other text."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if _MAC.fullmatch(value) else int(ip_address(value))


@dataclass(frozen=True, slots=True)
class Label:
    """An MPLS label stack entry (RFC 3032); the bottom-of-stack bit follows from its position."""

    label: int
    tc: int
    ttl: int


@dataclass(frozen=True)
class Packet:
    """A packet on a link: its header fields, and its label stack, top first.

    ``eth_type`` is the type beneath the labels. ``vlan_vid`` includes VLAN_PRESENT, and is absent without a tag."""

    fields: Mapping[str, int]
    labels: tuple[Label, ...] = ()

    @classmethod
    def of(cls, *labels: Label, **fields: Value) -> Packet:
        """A packet with these fields, addresses as text or numbers."""
        return cls({plain(name): number(value) for name, value in fields.items()}, labels)

    def but(self, **fields: Value) -> Packet:
        """The same packet with some fields replaced."""
        return Packet({**self.fields, **self.of(**fields).fields}, self.labels)

    def with_fresh_ttl(self) -> Packet:
        """The same packet with every TTL reset, so that packets are equal whatever their age."""
        fields = {**self.fields, "nw_ttl": _DEFAULT_TTL} if "nw_ttl" in self.fields else self.fields
        return Packet(fields, tuple(Label(each.label, each.tc, _DEFAULT_TTL) for each in self.labels))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((frozenset(self.fields.items()), self.labels))


@dataclass(slots=True)
class Header:
    """The header of a packet in a switch: ``visible`` are the fields that can be matched and rewritten, with the
    switch's own and the top label's; ``hidden`` those beneath the labels; ``inner_labels`` those below the top one,
    lowest first."""

    visible: dict[str, int]
    hidden: dict[str, int] = field(default_factory=dict)
    inner_labels: list[Label] = field(default_factory=list)

    @classmethod
    def of(cls, packet: Packet, in_port: int, registers: Mapping[str, int] = _NO_REGISTERS) -> Header:
        """The header of a packet that came in on a port; metadata and ``registers`` are zero unless given."""
        header = cls({"vlan_vid": 0, "metadata": 0, **packet.fields, **registers, "in_port": in_port})
        if packet.labels:
            header._hide()
            header.inner_labels = list(packet.labels[:0:-1])
            header._expose(packet.labels[0])
        return header

    def match_fields(self) -> dict[str, int]:
        """The fields as look-ups see them: ports and ICMP types of any fragment are zero (OFPC_FRAG_NORMAL)."""
        if not self.visible.get("ip_frag"):
            return self.visible
        return self.visible | dict.fromkeys(_TRANSPORT_FIELDS.get(self.visible["ip_proto"], ()), 0)

    @property
    def depth(self) -> int:
        """The number of labels."""
        return len(self.inner_labels) + 1 if "mpls_label" in self.visible else 0

    def copy(self) -> Header:
        """An independent copy."""
        return Header(dict(self.visible), dict(self.hidden), list(self.inner_labels))

    def packet(self) -> Packet:
        """The packet as it would be sent now."""
        fields = {name: value for name, value in self.visible.items() if not _is_switch_field(name)}
        if not fields["vlan_vid"]:
            del fields["vlan_vid"]
        labels = (self._top(), *reversed(self.inner_labels)) if self.depth else ()
        return Packet({**fields, **self.hidden}, labels)

    def registers(self) -> dict[str, int]:
        """The metadata and the registers."""
        return {name: value for name, value in self.visible.items() if _is_register(name)}

    def read(self, name: str) -> int | None:
        """A field by its canonical name; None if the packet does not have it. Registers always exist."""
        return self.visible.get(name, 0 if _is_register(name) else None)

    def write(self, name: str, value: int) -> None:
        """Overwrites a field that the packet has; otherwise does nothing, as Open vSwitch."""
        if name == "vlan_vid" and not self.visible[name]:
            return
        if self.read(name) is not None:
            self.visible[name] = value

    def push_label(self) -> None:
        """Pushes a label: a copy of the one below, or with the TTL and the low DSCP bits of the IP header
        (flow_push_mpls).

        The caller checks ``depth`` against the maximum."""
        if self.depth:
            self.inner_labels.append(self._top())
            self.visible["mpls_bos"] = 0
            return
        eth_type = self.visible["eth_type"]
        dscp, ttl = self.visible.get("ip_dscp", 0), self.visible.get("nw_ttl", 0)
        self._hide()
        self._expose(Label(_EXPLICIT_NULL.get(eth_type, 0), dscp & 7, ttl or _DEFAULT_TTL))

    def pop_label(self, eth_type: int) -> None:
        """Pops the top label, if there is one. If the payload is not of ``eth_type``, its fields become unreadable."""
        if not self.depth:
            return
        if self.inner_labels and eth_type == MPLS:
            self._expose(self.inner_labels.pop())
            return
        readable = not self.inner_labels and self.hidden["eth_type"] == eth_type
        for name in ("mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"):
            del self.visible[name]
        self.visible |= self.hidden if readable else {"eth_type": eth_type}
        self.hidden, self.inner_labels = {}, []

    def _hide(self) -> None:
        """Hides all fields except the Ethernet header's and the switch's own."""
        self.hidden = {name: value for name, value in self.visible.items() if _is_hidden(name)}
        self.visible = {name: value for name, value in self.visible.items() if name not in self.hidden}

    def _top(self) -> Label:
        return Label(self.visible["mpls_label"], self.visible["mpls_tc"], self.visible["mpls_ttl"])

    def _expose(self, top: Label) -> None:
        """Makes ``top`` the visible label, above ``inner_labels``."""
        bottom = int(not self.inner_labels)
        self.visible |= {
            "eth_type": MPLS,
            "mpls_label": top.label,
            "mpls_tc": top.tc,
            "mpls_ttl": top.ttl,
            "mpls_bos": bottom,
        }
