"""A witness packet in words, as a Scapy expression, and as a Scapy object for files and replays. Unspecified fields are
zero: nothing is filled in by the machine that evaluates the expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from helsewan.controller.openflow.entries import ARP, IPV4, IPV6, MPLS, VLAN
from helsewan.verification.concrete.packet import Label, Packet

if TYPE_CHECKING:
    from scapy.packet import Packet as Scapy

ICMP, TCP, UDP, SCTP, ICMPV6, IPV6_FRAGMENT = 1, 6, 17, 132, 58, 44  # IANA protocol numbers
FIRST_FRAGMENT, LATER_FRAGMENT = 1, 3  # Open vSwitch's ip_frag (ovs-fields(7))
LATER_OFFSET = 100  # in units of 8 bytes: beyond any header
_SOLICITATION, _ADVERTISEMENT = 135, 136
_PORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_DSCP = {0: "BE", 46: "EF", 48: "CS6", 56: "CS7"} | {
    8 * c + 2 * p: f"AF{c}{p}" for c in range(1, 5) for p in range(1, 4)
}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the name of its Scapy class, and its fields."""

    name: str
    fields: Mapping[str, int | str | bytes]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.fields.items())})"


def layers(packet: Packet, payload: bytes = b"") -> tuple[Layer, ...]:
    """The layers of a packet, Ethernet first, with ``payload`` behind them."""
    found = [*_link(packet), *_network(packet.fields)]
    return (*found, Layer("Raw", {"load": payload})) if payload else tuple(found)


def expression(packet: Packet, payload: bytes = b"") -> str:
    """A packet as text that Scapy makes it of, its contrib layers (`load_contrib("mpls")`) included."""
    return "/".join(map(str, layers(packet, payload)))


def scapy_packet(packet: Packet, payload: bytes = b"") -> Scapy:
    """A packet as a Scapy object. Importing Scapy takes a second."""
    from scapy.contrib import mpls
    from scapy.layers import inet, inet6, l2, sctp
    from scapy.packet import Raw

    known: dict[str, Any] = {"Raw": Raw, "MPLS": mpls.MPLS}
    parts: list[Scapy] = [
        (
            known.get(layer.name)
            or next(getattr(m, layer.name) for m in (l2, inet, inet6, sctp) if hasattr(m, layer.name))
        )(**layer.fields)
        for layer in layers(packet, payload)
    ]
    built = parts[0]
    for part in parts[1:]:
        built /= part
    return built


def in_words(packet: Packet) -> str:
    """A packet in one line of words."""
    fields = packet.fields
    words = [_flow_words(fields)]
    if "ip_dscp" in fields:
        words.append(f"DSCP {_DSCP.get(fields['ip_dscp'], fields['ip_dscp'])}")
    if fields.get("ip_frag"):
        words.append("a later fragment" if fields["ip_frag"] & 2 else "a first fragment")
    if "vlan_vid" in fields:
        words.append(f"VLAN {fields['vlan_vid'] & 0xFFF}")
    words += [f"label {label.label} (TC {label.tc})" for label in packet.labels]
    return ", ".join(words)


def _link(packet: Packet) -> Iterator[Layer]:
    """The Ethernet, VLAN and MPLS layers."""
    fields = packet.fields
    inner = fields.get("eth_type", 0)
    below = MPLS if packet.labels else inner
    tagged = "vlan_vid" in fields
    ends = {"dst": _mac(fields.get("eth_dst", 0)), "src": _mac(fields.get("eth_src", 0))}
    yield Layer("Ether", {**ends, "type": VLAN if tagged else below})
    if tagged:
        yield Layer("Dot1Q", {"vlan": fields["vlan_vid"] & 0xFFF, "prio": fields.get("vlan_pcp", 0), "type": below})
    for place, label in enumerate(packet.labels, start=1):
        yield _label(label, bottom=place == len(packet.labels))


def _label(label: Label, bottom: bool) -> Layer:
    return Layer("MPLS", {"label": label.label, "cos": label.tc, "s": int(bottom), "ttl": label.ttl})


def _network(fields: Mapping[str, int]) -> Iterator[Layer]:
    """The layers beneath the labels."""
    eth_type = fields.get("eth_type", 0)
    if eth_type == ARP:
        hardware = {"hwsrc": _mac(fields.get("arp_sha", 0)), "hwdst": _mac(fields.get("arp_tha", 0))}
        protocol = {"psrc": _ipv4(fields, "arp_spa"), "pdst": _ipv4(fields, "arp_tpa")}
        yield Layer("ARP", {"op": fields.get("arp_op", 0), **hardware, **protocol})
    elif eth_type == IPV4:
        yield _ip(fields)
    elif eth_type == IPV6:
        yield from _ipv6_headers(fields)
    if eth_type in (IPV4, IPV6) and fields.get("ip_frag") != LATER_FRAGMENT:
        yield from _transport(fields)


def _ip(fields: Mapping[str, int]) -> Layer:
    fragment = fields.get("ip_frag", 0)
    values: dict[str, int | str | bytes] = {"src": _ipv4(fields, "ipv4_src"), "dst": _ipv4(fields, "ipv4_dst")}
    values |= {"ttl": fields.get("nw_ttl", 64), "proto": fields.get("ip_proto", 0), "tos": _tos(fields)}
    if fragment:
        values |= {"flags": "MF", "frag": LATER_OFFSET if fragment == LATER_FRAGMENT else 0}
    return Layer("IP", values)


def _ipv6_headers(fields: Mapping[str, int]) -> Iterator[Layer]:
    protocol, fragment = fields.get("ip_proto", 0), fields.get("ip_frag", 0)
    ends = {"src": str(IPv6Address(fields.get("ipv6_src", 0))), "dst": str(IPv6Address(fields.get("ipv6_dst", 0)))}
    about = {"hlim": fields.get("nw_ttl", 64), "tc": _tos(fields), "fl": fields.get("ipv6_flabel", 0)}
    yield Layer("IPv6", {**ends, "nh": IPV6_FRAGMENT if fragment else protocol, **about})
    if fragment:
        offset = LATER_OFFSET if fragment == LATER_FRAGMENT else 0
        yield Layer("IPv6ExtHdrFragment", {"nh": protocol, "m": 1, "offset": offset})


def _transport(fields: Mapping[str, int]) -> Iterator[Layer]:
    protocol = fields.get("ip_proto", 0)
    if name := _PORTS.get(protocol):
        ports = {"sport": fields.get(f"{name}_src", 0), "dport": fields.get(f"{name}_dst", 0)}
        yield Layer(name.upper(), {**ports, "flags": fields.get("tcp_flags", 0)} if name == "tcp" else ports)
    elif protocol == ICMP and fields.get("eth_type") == IPV4:
        yield Layer("ICMP", {"type": fields.get("icmpv4_type", 0), "code": fields.get("icmpv4_code", 0)})
    elif protocol == ICMPV6 and fields.get("eth_type") == IPV6:
        yield from _icmp6(fields)


def _icmp6(fields: Mapping[str, int]) -> Iterator[Layer]:
    """The ICMPv6 layers; for neighbour discovery with target and link-layer address (RFC 4861, 4.3 and 4.4)."""
    kind, target = fields.get("icmpv6_type", 0), str(IPv6Address(fields.get("ipv6_nd_target", 0)))
    code = fields.get("icmpv6_code", 0)
    if kind == _SOLICITATION:
        yield Layer("ICMPv6ND_NS", {"code": code, "tgt": target})
        if "ipv6_nd_sll" in fields:
            yield Layer("ICMPv6NDOptSrcLLAddr", {"lladdr": _mac(fields["ipv6_nd_sll"])})
    elif kind == _ADVERTISEMENT:
        yield Layer("ICMPv6ND_NA", {"code": code, "tgt": target})
        if "ipv6_nd_tll" in fields:
            yield Layer("ICMPv6NDOptDstLLAddr", {"lladdr": _mac(fields["ipv6_nd_tll"])})
    else:
        yield Layer("ICMPv6Unknown", {"type": kind, "code": code})


def _flow_words(fields: Mapping[str, int]) -> str:
    """Protocol, addresses and ports."""
    eth_type = fields.get("eth_type", 0)
    if eth_type == ARP:
        asked = "who has" if fields.get("arp_op") == 1 else "answer to"
        return f"ARP {asked} {_ipv4(fields, 'arp_tpa')} from {_ipv4(fields, 'arp_spa')}"
    if eth_type not in (IPV4, IPV6):
        return f"EtherType {eth_type:#06x}"
    version = "ipv4" if eth_type == IPV4 else "ipv6"
    ends = [_ip_words(fields.get(f"{version}_{end}", 0), version) for end in ("src", "dst")]
    protocol = fields.get("ip_proto", 0)
    if name := _PORTS.get(protocol):
        shown = [f"[{end}]" if version == "ipv6" else end for end in ends]
        ends = [f"{shown[0]}:{fields.get(f'{name}_src', 0)}", f"{shown[1]}:{fields.get(f'{name}_dst', 0)}"]
        return f"{name.upper()} {ends[0]} → {ends[1]}"
    named = {ICMP: ("ICMP", "icmpv4"), ICMPV6: ("ICMPv6", "icmpv6")}.get(protocol)
    if named is None:
        return f"IP protocol {protocol} {ends[0]} → {ends[1]}"
    return f"{named[0]} type {fields.get(f'{named[1]}_type', 0)} {ends[0]} → {ends[1]}"


def _ip_words(value: int, version: str) -> str:
    return str(IPv4Address(value) if version == "ipv4" else IPv6Address(value))


def _tos(fields: Mapping[str, int]) -> int:
    return fields.get("ip_dscp", 0) << 2 | fields.get("ip_ecn", 0)


def _ipv4(fields: Mapping[str, int], name: str) -> str:
    return str(IPv4Address(fields.get(name, 0)))


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")
