"""Parses a frame into the fields that rules match, as Open vSwitch does (lib/flow.c, miniflow_extract).

Fields that the switch does not parse are absent, and the rules decide on the others: those behind a second VLAN tag, in
a truncated header, or behind an IPv6 extension header that it does not skip.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from helsewan.controller.openflow.entries import ARP, IPV4, IPV6, MPLS, VLAN
from helsewan.controller.openflow.label_stack import MAX_LABELS
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.verification.concrete.packet import Label, Packet

FIRST_FRAGMENT, LATER_FRAGMENT = 1, 3  # of ip_frag: a fragment; one that is not the first
STACKED_VLAN, MPLS_MULTICAST = 0x88A8, 0x8848  # IEEE 802.1ad, RFC 5332
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, NO_NEXT, OPTIONS = 0, 43, 44, 51, 59, 60  # IPv6 (RFC 8200, 4)
SKIPPED = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS})
TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
SOLICITATION, ADVERTISEMENT = 135, 136  # RFC 4861, 4.3 and 4.4

_ETHERNET = struct.Struct("!6s6sH")
_TAG = struct.Struct("!HH")
_ARP = struct.Struct("!HHBBH6sI6sI")
_IPV4 = struct.Struct("!BBHHHBBHII")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIHHHH")
_UDP = struct.Struct("!HHHH")
_SCTP = struct.Struct("!HHII")
_ICMP_BYTES, _TARGET_BYTES = 8, 16
_MORE, _OFFSET4, _OFFSET6 = 0x2000, 0x1FFF, 0xFFF8
_TCP_FLAGS = 0xFFF
_UNREAD = dict.fromkeys(("ip_dscp", "ip_ecn", "nw_ttl", "ip_proto", "ip_frag"), 0)  # the fields of an invalid header
_LABEL_BOTTOM = 0x100


@dataclass
class _Reader:
    """The unparsed rest of a frame, and the fields parsed so far."""

    rest: bytes
    fields: dict[str, int] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)

    def take(self, layout: struct.Struct) -> tuple[int, ...] | None:
        """The values of the next header; None where it is truncated."""
        if len(self.rest) < layout.size:
            return None
        values = layout.unpack_from(self.rest)
        self.rest = self.rest[layout.size :]
        return values


def read(frame: bytes) -> Packet:
    """The packet in a frame of at least 14 bytes, an Ethernet header."""
    destination, source, kind = _ETHERNET.unpack_from(frame)
    reader = _Reader(frame[_ETHERNET.size :])
    reader.fields |= {"eth_dst": int.from_bytes(destination, "big"), "eth_src": int.from_bytes(source, "big")}
    if kind in (VLAN, STACKED_VLAN) and (tag := reader.take(_TAG)):
        reader.fields["vlan_vid"] = tag[0] & 0xFFF | VLAN_PRESENT
        kind = tag[1]
    if kind in (MPLS, MPLS_MULTICAST):
        kind = _read_labels(reader, kind)
    reader.fields["eth_type"] = kind
    known = {ARP: _read_arp, IPV4: _read_ipv4, IPV6: _read_ipv6}.get(kind)
    if known:
        known(reader)
    return Packet(reader.fields, tuple(reader.labels))


def _read_labels(reader: _Reader, kind: int) -> int:
    """Parses the label stack to the depth that the switch supports; returns the EtherType beneath, by the IP
    version."""
    while len(reader.labels) < MAX_LABELS and len(reader.rest) >= 4:
        entry = int.from_bytes(reader.rest[:4], "big")
        reader.rest = reader.rest[4:]
        reader.labels.append(Label(entry >> 12, entry >> 9 & 7, entry & 0xFF))
        if entry & _LABEL_BOTTOM:
            return IPV6 if reader.rest[:1] >= b"\x60" else IPV4
    return kind


def _read_arp(reader: _Reader) -> None:
    header = reader.take(_ARP)
    if header is None or header[:4] != (1, IPV4, 6, 4):
        return
    _, _, _, _, operation, sender_mac, sender, target_mac, target = header
    reader.fields |= {"arp_op": operation & 0xFF, "arp_spa": sender, "arp_tpa": target}
    reader.fields |= {"arp_sha": _number(sender_mac), "arp_tha": _number(target_mac)}


def _read_ipv4(reader: _Reader) -> None:
    whole = reader.rest
    header = reader.take(_IPV4)
    reader.fields |= {"ipv4_src": 0, "ipv4_dst": 0, **_UNREAD}
    if header is None:
        return
    version, tos, length, _, fragment, ttl, protocol, _, source, destination = header
    header_bytes = (version & 15) * 4
    if not _IPV4.size <= header_bytes <= length <= len(whole):
        return
    reader.rest = whole[header_bytes:length]
    later = fragment & _OFFSET4
    kind = LATER_FRAGMENT if later else FIRST_FRAGMENT if fragment & _MORE else 0
    reader.fields |= {"ipv4_src": source, "ipv4_dst": destination}
    _read_upper(reader, tos, ttl, protocol, kind)


def _read_ipv6(reader: _Reader) -> None:
    header = reader.take(_IPV6)
    reader.fields |= {"ipv6_src": 0, "ipv6_dst": 0, **_UNREAD}
    if header is None:
        return
    first, length, protocol, ttl, source, destination = header
    if length > len(reader.rest):
        return
    reader.rest = reader.rest[:length]
    reader.fields |= {"ipv6_src": _number(source), "ipv6_dst": _number(destination)}
    fragment = 0
    while protocol in SKIPPED:
        if len(reader.rest) < 8:
            return
        following, units = reader.rest[0], reader.rest[1]
        size = 8 * (units + 1)
        if protocol == FRAGMENT:
            size, offset = 8, int.from_bytes(reader.rest[2:4], "big")
            if offset & _OFFSET6:
                fragment, following = LATER_FRAGMENT, FRAGMENT
            elif offset:
                fragment = FIRST_FRAGMENT
        elif protocol == AUTHENTICATION:
            size = 4 * (units + 2)
        if len(reader.rest) < size:
            return
        protocol, reader.rest = following, reader.rest[size:]
        if fragment == LATER_FRAGMENT:
            break
    _read_upper(reader, first >> 20 & 0xFF, ttl, protocol, fragment)


def _read_upper(reader: _Reader, tos: int, ttl: int, protocol: int, fragment: int) -> None:
    """The fields common to both IP versions, and the transport header."""
    reader.fields |= {"ip_dscp": tos >> 2, "ip_ecn": tos & 3, "nw_ttl": ttl, "ip_proto": protocol, "ip_frag": fragment}
    if fragment == LATER_FRAGMENT:
        return
    is_v6 = reader.fields["eth_type"] == IPV6
    if protocol == TCP and (tcp := reader.take(_TCP)):
        reader.fields |= {"tcp_src": tcp[0], "tcp_dst": tcp[1], "tcp_flags": tcp[4] & _TCP_FLAGS}
    elif protocol == UDP and (udp := reader.take(_UDP)):
        reader.fields |= {"udp_src": udp[0], "udp_dst": udp[1]}
    elif protocol == SCTP and (sctp := reader.take(_SCTP)):
        reader.fields |= {"sctp_src": sctp[0], "sctp_dst": sctp[1]}
    elif protocol == (ICMPV6 if is_v6 else ICMP) and len(reader.rest) >= _ICMP_BYTES:
        version = "icmpv6" if is_v6 else "icmpv4"
        reader.fields |= {f"{version}_type": reader.rest[0], f"{version}_code": reader.rest[1]}
        if is_v6 and reader.rest[0] in (SOLICITATION, ADVERTISEMENT) and reader.rest[1] == 0:
            _read_neighbour(reader)


def _read_neighbour(reader: _Reader) -> None:
    """The target address of a neighbour solicitation or advertisement (RFC 4861)."""
    body = reader.rest[_ICMP_BYTES:]
    if len(body) >= _TARGET_BYTES:
        reader.fields["ipv6_nd_target"] = _number(body[:_TARGET_BYTES])


def _number(value: object) -> int:
    assert isinstance(value, bytes)
    return int.from_bytes(value, "big")
