"""An IP packet of a capture as its headers tell it: ends, protocol, ports, and where its parts are.

What capturing machines leave wrong is put right where it can be: a length of 0 of an offloaded packet, the padding of
short frames, bytes that the capture does not have.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
IPV6_BYTES = 40
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _ESP, _AUTHENTICATION, _NO_NEXT, _OPTIONS = 0, 43, 44, 50, 51, 59, 60
_SIMILAR = {_HOP_BY_HOP, _ROUTING, _OPTIONS, 135, 139, 140}  # extension headers of 8 bytes and more (RFC 6564)
_MOST_EXTENSIONS = 16
_TRANSPORT_BYTES = {TCP: 20, UDP: 8, ICMP: 8, ICMPV6: 4, SCTP: 12}  # the least
_QUOTING4, _QUOTING6 = {3, 4, 5, 11, 12}, range(1, 5)  # types of ICMP errors (RFC 792) and ICMPv6 errors (RFC 4443)
_NEIGHBOURS = range(133, 138)  # of ICMPv6: router and neighbour discovery, redirect (RFC 4861)
TCP_SYN, TCP_ACK, TCP_RST, TCP_FIN, TCP_PSH, TCP_CWR = 0x02, 0x10, 0x04, 0x01, 0x08, 0x80


class BadPacket(Exception):
    """An IP packet that cannot be sent again: the reason, and a hint."""

    def __init__(self, reason: str, hint: str = "") -> None:
        self.reason, self.hint = reason, hint
        super().__init__(reason)


class IpPacket(NamedTuple):
    """``data`` is the packet from its IP header, as long as ``filled`` says: that many bytes at its end are zeros in
    place of what the capture does not have. ``transport_at`` is where its transport header begins, after extension
    headers. ``fragment_at`` is the place of a fragment in its packet (bytes), ``is_fragment`` whether it is one.
    ``flags`` are TCP's, ``icmp_type`` that of either ICMP, 0 for other protocols."""

    version: int
    source: bytes
    destination: bytes
    protocol: int
    data: bytes
    transport_at: int
    ident: int = 0  # of a fragment's packet
    is_fragment: bool = False
    fragment_at: int = 0
    filled: int = 0
    source_port: int = 0
    destination_port: int = 0
    flags: int = 0
    icmp_type: int = 0

    @property
    def payload_at(self) -> int:
        """Where the application's bytes begin, of TCP and UDP."""
        if self.protocol == TCP:
            return self.transport_at + (self.data[self.transport_at + 12] >> 4) * 4
        return self.transport_at + _TRANSPORT_BYTES[UDP]

    @property
    def is_icmp_error(self) -> bool:
        """Whether it is an error about another packet, which it quotes."""
        if self.protocol == ICMP:
            return self.icmp_type in _QUOTING4
        return self.protocol == ICMPV6 and self.icmp_type in _QUOTING6

    @property
    def is_discovery(self) -> bool:
        """Whether it is of IPv6's neighbour discovery, which concerns one link."""
        return self.protocol == ICMPV6 and self.icmp_type in _NEIGHBOURS

    @property
    def is_unicast(self) -> bool:
        """Whether it is for one host."""
        if self.version == 6:
            return self.destination[0] != 0xFF
        return self.destination[0] < 224 and self.destination != b"\xff\xff\xff\xff"


def parse(data: bytes, missing: int) -> IpPacket:
    """The IP packet that ``data`` begins with, of which ``missing`` bytes of the frame's end were not captured. Raises
    BadPacket for one whose headers are cut or contradict themselves."""
    version = data[0] >> 4 if data else 0
    try:
        if version == 4:
            return _parse4(data, missing)
        if version == 6:
            return _parse6(data, missing)
    except (struct.error, IndexError):
        raise BadPacket("is cut within its headers", "capture with a longer snapshot length (tcpdump -s)") from None
    raise BadPacket(f"is of IP version {version}")


def _parse4(data: bytes, missing: int) -> IpPacket:
    header_bytes = (data[0] & 15) * 4
    length, ident, fragment = struct.unpack_from("!HHH", data, 2)
    if header_bytes < 20:
        raise BadPacket(f"has an IPv4 header of {header_bytes} bytes")
    if len(data) < header_bytes:
        raise IndexError  # cut within its headers
    whole, filled = _whole(data, missing, length, header_bytes)
    is_fragment, fragment_at = bool(fragment & 0x3FFF), (fragment & 0x1FFF) * 8
    ends = data[12:16], data[16:20]
    return _with_transport(4, ends, data[9], whole, header_bytes, (ident, is_fragment, fragment_at), filled)


def _parse6(data: bytes, missing: int) -> IpPacket:
    payload_bytes, protocol = struct.unpack_from("!HB", data, 4)
    if len(data) < IPV6_BYTES:
        raise IndexError  # cut within its headers
    whole, filled = _whole(data, missing, IPV6_BYTES + payload_bytes if payload_bytes else 0, IPV6_BYTES)
    at, fragment = IPV6_BYTES, (0, False, 0)
    for _ in range(_MOST_EXTENSIONS):
        if protocol in _SIMILAR:
            if protocol == _ROUTING and data[at + 3]:
                raise BadPacket("has a routing header with a way to go", "its way through this network is another")
            protocol, at = data[at], at + (data[at + 1] + 1) * 8
        elif protocol == _AUTHENTICATION:
            protocol, at = data[at], at + (data[at + 1] + 2) * 4
        elif protocol == _FRAGMENT:
            protocol, place, ident = struct.unpack_from("!BxHI", data, at)
            at, fragment = at + 8, (ident, bool(place & 0xFFF9), place & 0xFFF8)
        else:
            break
        if fragment[2]:  # what follows in a later fragment is no header
            break
    else:
        raise BadPacket(f"has more than {_MOST_EXTENSIONS} extension headers")
    return _with_transport(6, (data[8:24], data[24:40]), protocol, whole, at, fragment, filled)


def _whole(data: bytes, missing: int, length: int, least: int) -> tuple[bytes, int]:
    """The packet without the frame's padding, with zeros in place of what was not captured; and how many those are."""
    on_wire = len(data) + missing
    if not length:  # segmentation is left to the network card: the length is that of the frame
        length = on_wire
    if length < least:
        raise BadPacket(f"is {length} bytes long by its IP header, which has {least}")
    if length > on_wire:
        raise BadPacket(f"is {length:,} bytes long by its IP header, {on_wire:,} on the wire")
    filled = max(length - len(data), 0)
    return data[:length] + bytes(filled), filled


def _with_transport(
    version: int,
    ends: tuple[bytes, bytes],
    protocol: int,
    whole: bytes,
    at: int,
    fragment: tuple[int, bool, int],
    filled: int,
) -> IpPacket:
    ident, is_fragment, fragment_at = fragment
    source_port = destination_port = flags = icmp_type = 0
    if not fragment_at and protocol in _TRANSPORT_BYTES:
        _check_head(whole, filled, at + _TRANSPORT_BYTES[protocol])
        if protocol == TCP:
            head_bytes = (whole[at + 12] >> 4) * 4
            if head_bytes < _TRANSPORT_BYTES[TCP]:
                raise BadPacket(f"has a TCP header of {head_bytes} bytes")
            _check_head(whole, filled, at + head_bytes)
        if protocol in (TCP, UDP, SCTP):
            source_port, destination_port = struct.unpack_from("!HH", whole, at)
            flags = whole[at + 13] if protocol == TCP else 0
        else:
            icmp_type = whole[at]
    elif at > len(whole):
        raise BadPacket("is shorter than its headers")
    return IpPacket(
        version, *ends, protocol, whole, at, ident, is_fragment, fragment_at, filled, source_port, destination_port,
        flags, icmp_type,
    )  # fmt: skip


def _check_head(whole: bytes, filled: int, end: int) -> None:
    """Raises BadPacket where a packet ends before ``end`` of its headers, IndexError where only the capture does."""
    if end > len(whole):
        raise BadPacket("is shorter than its headers")
    if end > len(whole) - filled:
        raise IndexError
