"""ICMP errors to the sender of an IPv4 packet that a router could not forward, and definitions shared with ICMPv6.

Bytes in, bytes out. Formats follow RFC 792 and RFC 1191, the label stack extension RFC 4884 and RFC 4950; when an error
may be sent, and how much of the packet it quotes, follows RFC 1812 (4.3.2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

ICMP = 1
_HEADER = struct.Struct("!BBHHHBBH4s4s")  # IPv4 without options (RFC 791, 3.1)
_ERROR = struct.Struct("!BBHxBH")  # type, code, checksum, quote length in 32-bit words (RFC 4884), MTU (RFC 1191)
_MAX_ERROR_BYTES = 576  # the IP packet with the error (RFC 1812, 4.3.2.3)
QUOTE_BEFORE_EXTENSION = 128  # bytes; correct for receivers with and without support of extensions (RFC 4884, 5.5)
TTL = 64  # TTL or hop limit of errors
_DONT_FRAGMENT, _OFFSET = 0x4000, 0x1FFF
_NO_ERRORS = frozenset({0, 8, 13, 14, 15, 16, 17, 18})  # ICMP queries and replies; all others may be errors
_EXTENSION_VERSION = 2 << 12
_LABEL_STACK = 1, 1  # class and type of the object (RFC 4950)


class IcmpError(Enum):
    """Why a packet could not be forwarded, in either IP version."""

    EXPIRED = "its TTL or hop limit reached zero"
    NO_ROUTE = "its VPN has no route to the destination"
    NO_PATH = "there is no path to the destination at present"
    PROHIBITED = "no contract permits it"
    TOO_LONG = "it is longer than the MTU of the next link"


_TYPE_AND_CODE = {
    IcmpError.EXPIRED: (11, 0),
    IcmpError.NO_ROUTE: (3, 0),
    IcmpError.NO_PATH: (3, 1),
    IcmpError.TOO_LONG: (3, 4),
    IcmpError.PROHIBITED: (3, 13),
}


@dataclass(frozen=True, slots=True)
class Ipv4Packet:
    """An IPv4 packet: its bytes without padding, and its addresses."""

    data: bytes
    source: IPv4Address
    destination: IPv4Address

    @property
    def may_be_fragmented(self) -> bool:
        """Whether a router may fragment the packet."""
        return not int.from_bytes(self.data[6:8], "big") & _DONT_FRAGMENT

    @property
    def may_get_error(self) -> bool:
        """Whether an error about the packet may be sent: not about ICMP errors, later fragments, multicast packets or
        packets whose source is no single host (RFC 1812, 4.3.2.7)."""
        header = (self.data[0] & 15) * 4
        if int.from_bytes(self.data[6:8], "big") & _OFFSET:
            return False
        if self.data[9] == ICMP and self.data[header : header + 1] not in {bytes([kind]) for kind in _NO_ERRORS}:
            return False
        return not self.destination.is_multicast and not _is_no_host(self.source)


def _is_no_host(address: IPv4Address) -> bool:
    """Whether an address cannot be that of a single host; the broadcast address counts as reserved."""
    return address.is_multicast or address.is_reserved or address.is_loopback or address.packed[0] == 0


def read_ipv4(data: bytes) -> Ipv4Packet | None:
    """The IPv4 packet at the start of ``data``; None if there is none or its header is incomplete."""
    if len(data) < _HEADER.size or data[0] >> 4 != 4:
        return None
    header, length = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    if not _HEADER.size <= header <= length or len(data) < header:
        return None
    return Ipv4Packet(data[:length], IPv4Address(data[12:16]), IPv4Address(data[16:20]))


def icmp_error(
    reason: IcmpError, packet: Ipv4Packet, source: IPv4Address, dscp: int, labels: tuple[int, ...] = (), mtu: int = 0
) -> bytes:
    """The IPv4 packet with an ICMP error from ``source`` to the sender of ``packet``, marked ``dscp``.

    ``labels`` are the label stack entries with which ``packet`` arrived, top first; ``mtu`` is the MTU of the next link
    in bytes, for `IcmpError.TOO_LONG`."""
    stack = label_stack(labels) if labels else b""
    quote = packet.data[: _MAX_ERROR_BYTES - _HEADER.size - _ERROR.size]
    if stack:
        quote = quote[:QUOTE_BEFORE_EXTENSION].ljust(QUOTE_BEFORE_EXTENSION, b"\0")
    words = len(quote) // 4 if stack else 0
    next_mtu = mtu if reason is IcmpError.TOO_LONG else 0
    message = _ERROR.pack(*_TYPE_AND_CODE[reason], 0, words, next_mtu) + quote + stack
    message = with_checksum(message, 2)
    length = _HEADER.size + len(message)
    header = _HEADER.pack(0x45, dscp << 2, length, 0, _DONT_FRAGMENT, TTL, ICMP, 0, source.packed, packet.source.packed)
    return with_checksum(header, 10) + message


def label_stack(labels: tuple[int, ...]) -> bytes:
    """An ICMP extension structure with one label stack object (RFC 4884, 7 and 8; RFC 4950)."""
    entries = b"".join(label.to_bytes(4, "big") for label in labels)
    body = struct.pack("!HBB", 4 + len(entries), *_LABEL_STACK) + entries
    return with_checksum(struct.pack("!HH", _EXTENSION_VERSION, 0) + body, 2)


def with_checksum(data: bytes, offset: int) -> bytes:
    """``data`` with its checksum in the two bytes at ``offset``, which must be zero."""
    return data[:offset] + checksum(data).to_bytes(2, "big") + data[offset + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of all 16-bit words."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
