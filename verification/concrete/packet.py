"""A packet as frozen data, and the header that a switch reads and rewrites.

Field names are those of `helsewan.controller.openflow.entries`; the Nicira spelling of a field (``in_port_nxm``) and
OpenFlow's mean the
same. Values are numbers: addresses too, once they have come in. Which fields there are is not laid down, so a new
protocol needs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from ipaddress import ip_address

from helsewan.controller.openflow.entries import IPV4, IPV6, MPLS, Value

_FRESH_TTL = 64  # also of a label pushed on what has no TTL (flow_push_mpls)
_EXPLICIT_NULL = {IPV4: 0, IPV6: 2}  # a pushed label until it is set (RFC 3032, 2.1)

_UPPER = {
    1: ("icmpv4_type", "icmpv4_code"),
    6: ("tcp_src", "tcp_dst"),
    17: ("udp_src", "udp_dst"),
    58: ("icmpv6_type", "icmpv6_code"),
}
_NO_NOTES: Mapping[str, int] = {}
_SPELLINGS = {"nd_target": "ipv6_nd_target", "nd_sll": "ipv6_nd_sll", "nd_tll": "ipv6_nd_tll"}
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_OWN = re.compile(r"in_port|metadata|x{0,2}reg\d|mpls_")
_ETHERNET = re.compile(r"eth_src|eth_dst|vlan_")


@cache
def plain(name: str) -> str:
    """A field's one name, whichever spelling it comes in."""
    name = name.removesuffix("_nxm")
    return _SPELLINGS.get(name, name)


@cache
def _is_own(name: str) -> bool:
    """Whether a field is the switch's own, or a label's: none of `Packet.fields`."""
    return bool(_OWN.match(name))


@cache
def _is_note(name: str) -> bool:
    """Whether a field is the switch's memory of the packet."""
    return name == "metadata" or "reg" in name


@cache
def _is_covered(name: str) -> bool:
    """Whether labels put a field out of sight."""
    return not (_is_own(name) or _ETHERNET.match(name))


@lru_cache(maxsize=1 << 16)
def number(value: Value) -> int:
    """A field's value as a number; text is a MAC, IPv4 or IPv6 address.

    Raises ValueError if it is none of these."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if _MAC.fullmatch(value) else int(ip_address(value))


@dataclass(frozen=True, slots=True)
class Label:
    """An MPLS label stack entry (RFC 3032); its position in the stack says whether it is the bottom."""

    label: int
    tc: int
    ttl: int


@dataclass(frozen=True)
class Packet:
    """A packet on a wire: its header fields and, top first, the labels between Ethernet's and the rest.

    ``eth_type`` says what is beneath the labels. ``vlan_vid`` includes VLAN_PRESENT, and is missing without a tag."""

    fields: Mapping[str, int]
    labels: tuple[Label, ...] = ()

    @classmethod
    def of(cls, *labels: Label, **fields: Value) -> Packet:
        """A packet with these fields, addresses as text or numbers."""
        return cls({plain(name): number(value) for name, value in fields.items()}, labels)

    def but(self, **fields: Value) -> Packet:
        """The same packet with some fields otherwise."""
        return Packet({**self.fields, **self.of(**fields).fields}, self.labels)

    def ageless(self) -> Packet:
        """The same packet with every TTL as if it had just been sent, to know it again by."""
        fields = {**self.fields, "nw_ttl": _FRESH_TTL} if "nw_ttl" in self.fields else self.fields
        return Packet(fields, tuple(Label(each.label, each.tc, _FRESH_TTL) for each in self.labels))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((frozenset(self.fields.items()), self.labels))


@dataclass(slots=True)
class Header:
    """What a switch sees of a packet and may rewrite: ``seen`` with the switch's own fields, the top label's among
    them; ``covered`` what labels hide; ``beneath`` the labels under the top one, the next one last."""

    seen: dict[str, int]
    covered: dict[str, int] = field(default_factory=dict)
    beneath: list[Label] = field(default_factory=list)

    @classmethod
    def of(cls, packet: Packet, in_port: int, notes: Mapping[str, int] = _NO_NOTES) -> Header:
        """The header of a packet that came in on a port; ``notes`` are metadata and registers, zero to begin with."""
        header = cls({"vlan_vid": 0, "metadata": 0, **packet.fields, **notes, "in_port": in_port})
        if packet.labels:
            header._cover()
            header.beneath = list(packet.labels[:0:-1])
            header._show(packet.labels[0])
        return header

    def matched(self) -> dict[str, int]:
        """What look-ups see: of a fragment, the first too, ports and ICMP types as zero (OFPC_FRAG_NORMAL)."""
        if not self.seen.get("ip_frag"):
            return self.seen
        return self.seen | dict.fromkeys(_UPPER.get(self.seen["ip_proto"], ()), 0)

    @property
    def depth(self) -> int:
        """How many labels there are."""
        return len(self.beneath) + 1 if "mpls_label" in self.seen else 0

    def copy(self) -> Header:
        """A header that can be rewritten without this one."""
        return Header(dict(self.seen), dict(self.covered), list(self.beneath))

    def packet(self) -> Packet:
        """What would leave on a wire now."""
        fields = {name: value for name, value in self.seen.items() if not _is_own(name)}
        if not fields["vlan_vid"]:
            del fields["vlan_vid"]
        labels = (self._top(), *reversed(self.beneath)) if self.depth else ()
        return Packet({**fields, **self.covered}, labels)

    def notes(self) -> dict[str, int]:
        """The metadata and the registers."""
        return {name: value for name, value in self.seen.items() if _is_note(name)}

    def read(self, name: str) -> int | None:
        """A field by its plain name; None where the packet has none. Registers are always there."""
        return self.seen.get(name, 0 if _is_note(name) else None)

    def write(self, name: str, value: int) -> None:
        """Overwrites a field that the packet has; otherwise, as Open vSwitch, nothing."""
        if name == "vlan_vid" and not self.seen[name]:
            return
        if self.read(name) is not None:
            self.seen[name] = value

    def push_label(self) -> None:
        """A label on top: a copy of the one below, or the IP header's TTL and low DSCP bits (flow_push_mpls).

        ``depth`` must leave room."""
        if self.depth:
            self.beneath.append(self._top())
            self.seen["mpls_bos"] = 0
            return
        eth_type = self.seen["eth_type"]
        dscp, ttl = self.seen.get("ip_dscp", 0), self.seen.get("nw_ttl", 0)
        self._cover()
        self._show(Label(_EXPLICIT_NULL.get(eth_type, 0), dscp & 7, ttl or _FRESH_TTL))

    def pop_label(self, eth_type: int) -> None:
        """The top label off; nothing without one. What is beneath and not of ``eth_type`` cannot be read."""
        if not self.depth:
            return
        if self.beneath and eth_type == MPLS:
            self._show(self.beneath.pop())
            return
        readable = not self.beneath and self.covered["eth_type"] == eth_type
        for name in ("mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"):
            del self.seen[name]
        self.seen |= self.covered if readable else {"eth_type": eth_type}
        self.covered, self.beneath = {}, []

    def _cover(self) -> None:
        """Puts all but Ethernet's header and the switch's own fields out of sight."""
        self.covered = {name: value for name, value in self.seen.items() if _is_covered(name)}
        self.seen = {name: value for name, value in self.seen.items() if name not in self.covered}

    def _top(self) -> Label:
        return Label(self.seen["mpls_label"], self.seen["mpls_tc"], self.seen["mpls_ttl"])

    def _show(self, top: Label) -> None:
        """Makes ``top`` the label that is seen; ``beneath`` is what is under it."""
        bottom = int(not self.beneath)
        self.seen |= {
            "eth_type": MPLS,
            "mpls_label": top.label,
            "mpls_tc": top.tc,
            "mpls_ttl": top.ttl,
            "mpls_bos": bottom,
        }
