"""ICMP errors to the sender of an IPv4 packet that a router could not forward, and what ICMPv6 shares.

Bytes in, bytes out. Formats are RFC 792's and RFC 1191's, the label stack is told by RFC 4884 and RFC 4950; when an
error may be sent, and how much of the packet it quotes, is RFC 1812's (4.3.2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

ICMP = 1
_HEADER = struct.Struct("!BBHHHBBH4s4s")  # IPv4 without options (RFC 791, 3.1)
_ERROR = struct.Struct("!BBHxBH")  # type, code, checksum, length of the quote in words (RFC 4884), MTU (RFC 1191)
_LONGEST = 576  # no error is longer (RFC 1812, 4.3.2.3)
QUOTE_BEFORE_EXTENSION = 128  # what receivers that know of extensions, and those that do not, expect (RFC 4884, 5.5)
TTL = 64  # of errors
_DONT_FRAGMENT, _OFFSET = 0x4000, 0x1FFF
_NO_ERRORS = frozenset({0, 8, 13, 14, 15, 16, 17, 18})  # ICMP types that ask and answer; all others may be errors
_EXTENSION_VERSION = 2 << 12
_LABEL_STACK = 1, 1  # class and type of the object (RFC 4950)


class IcmpError(Enum):
    """Why a packet could not be forwarded, in either IP version."""

    EXPIRED = "its hops ran out"
    NO_ROUTE = "its VPN knows no such destination"
    NO_PATH = "nothing leads to its destination now"
    PROHIBITED = "no contract allows it"
    TOO_LONG = "it is longer than the next line takes"


_TYPE_AND_CODE = {
    IcmpError.EXPIRED: (11, 0),
    IcmpError.NO_ROUTE: (3, 0),
    IcmpError.NO_PATH: (3, 1),
    IcmpError.TOO_LONG: (3, 4),
    IcmpError.PROHIBITED: (3, 13),
}


@dataclass(frozen=True, slots=True)
class Ipv4Packet:
    """An IPv4 packet: its bytes without padding, and what an answer depends on."""

    data: bytes
    source: IPv4Address
    destination: IPv4Address

    @property
    def may_be_split(self) -> bool:
        """Whether a router may fragment it."""
        return not int.from_bytes(self.data[6:8], "big") & _DONT_FRAGMENT

    @property
    def deserves_answer(self) -> bool:
        """Whether an error may be sent about it: to one host, about no error and no later fragment (RFC 1812,
        4.3.2.7)."""
        header = (self.data[0] & 15) * 4
        if int.from_bytes(self.data[6:8], "big") & _OFFSET:
            return False
        if self.data[9] == ICMP and self.data[header : header + 1] not in {bytes([kind]) for kind in _NO_ERRORS}:
            return False
        return not self.destination.is_multicast and not _is_no_host(self.source)


def _is_no_host(address: IPv4Address) -> bool:
    """Whether an address cannot be one host's: broadcast is class E's last."""
    return address.is_multicast or address.is_reserved or address.is_loopback or address.packed[0] == 0


def read_ipv4(data: bytes) -> Ipv4Packet | None:
    """The IPv4 packet at the start of ``data``, or None where there is none, or not all of its header."""
    if len(data) < _HEADER.size or data[0] >> 4 != 4:
        return None
    header, length = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    if not _HEADER.size <= header <= length or len(data) < header:
        return None
    return Ipv4Packet(data[:length], IPv4Address(data[12:16]), IPv4Address(data[16:20]))


def error(
    trouble: IcmpError, packet: Ipv4Packet, source: IPv4Address, dscp: int, labels: tuple[int, ...] = (), mtu: int = 0
) -> bytes:
    """The IPv4 packet that tells ``packet``'s sender of ``trouble``, from ``source``, marked ``dscp``.

    ``labels`` are the label stack entries it came with, top first; ``mtu`` is the next line's, in bytes, told where the
    packet is too long for that."""
    stack = label_stack(labels) if labels else b""
    quote = packet.data[: _LONGEST - _HEADER.size - _ERROR.size]
    if stack:
        quote = quote[:QUOTE_BEFORE_EXTENSION].ljust(QUOTE_BEFORE_EXTENSION, b"\0")
    words = len(quote) // 4 if stack else 0
    told = mtu if trouble is IcmpError.TOO_LONG else 0
    message = _ERROR.pack(*_TYPE_AND_CODE[trouble], 0, words, told) + quote + stack
    message = summed(message, 2)
    length = _HEADER.size + len(message)
    header = _HEADER.pack(0x45, dscp << 2, length, 0, _DONT_FRAGMENT, TTL, ICMP, 0, source.packed, packet.source.packed)
    return summed(header, 10) + message


def label_stack(labels: tuple[int, ...]) -> bytes:
    """An extension structure that holds one label stack (RFC 4884, 7 and 8; RFC 4950)."""
    entries = b"".join(label.to_bytes(4, "big") for label in labels)
    body = struct.pack("!HBB", 4 + len(entries), *_LABEL_STACK) + entries
    return summed(struct.pack("!HH", _EXTENSION_VERSION, 0) + body, 2)


def summed(data: bytes, place: int) -> bytes:
    """``data`` with its checksum at ``place``, where there are zeros yet."""
    return data[:place] + checksum(data).to_bytes(2, "big") + data[place + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of all 16-bit words."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
