"""ICMPv6 errors to the sender of an IPv6 packet that a router could not forward.

Bytes in, bytes out. Formats, when an error may be sent and how much of the packet it quotes are RFC 4443's; the label
stack is told by RFC 4884 and RFC 4950.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from helsewan.controller.slowpath.icmp import QUOTE_BEFORE_EXTENSION, TTL, IcmpError, checksum, label_stack

ICMPV6 = 58
_HEADER = struct.Struct("!IHBB16s16s")  # RFC 8200, 3
_ERROR = struct.Struct("!BBH")  # type, code, checksum
_LONGEST = 1280  # no error is longer: any line takes as much (RFC 4443, 2.4 c)
_VERSION = 6 << 28
_CLASS_SHIFT = 22  # of the code point, above ECN and the flow label
_QUOTE_UNIT = 8  # the quote before an extension is told in such words, in the first byte after the checksum (RFC 4884)
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60  # headers between IPv6's and the upper one (RFC 8200, 4)
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS})
_EXTENSION_BYTES, _FRAGMENT_OFFSET = 8, 0xFFF8
_FIRST_INFORMATIONAL, _REDIRECT = 128, 137  # ICMPv6 types: those below are errors

_TYPE_AND_CODE = {
    IcmpError.NO_ROUTE: (1, 0),
    IcmpError.PROHIBITED: (1, 1),
    IcmpError.NO_PATH: (1, 3),
    IcmpError.TOO_LONG: (2, 0),
    IcmpError.EXPIRED: (3, 0),
}


@dataclass(frozen=True, slots=True)
class Ipv6Packet:
    """An IPv6 packet: its bytes without padding, and what an answer depends on."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address

    @property
    def may_be_split(self) -> bool:
        """Whether a router may fragment it: never (RFC 8200, 5)."""
        return False

    @property
    def deserves_answer(self) -> bool:
        """Whether an error may be sent about it: to one host, about no error, no redirect, and nothing of which that
        cannot be told (RFC 4443, 2.4 e)."""
        upper = _upper(self.data)
        if upper is None:
            return False
        protocol, place = upper
        if protocol == ICMPV6:
            kind = self.data[place] if place < len(self.data) else 0
            if kind < _FIRST_INFORMATIONAL or kind == _REDIRECT:
                return False
        return not self.destination.is_multicast and not _is_no_host(self.source)


def _is_no_host(address: IPv6Address) -> bool:
    """Whether an address cannot be one host's that could be reached from here."""
    return address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local


def _upper(data: bytes) -> tuple[int, int] | None:
    """The protocol above IPv6 and where its header begins; None where that is not in ``data``."""
    protocol, place = data[6], _HEADER.size
    while protocol in _EXTENSIONS:
        header = data[place : place + _EXTENSION_BYTES]
        if len(header) < _EXTENSION_BYTES:
            return None
        if protocol == _FRAGMENT:
            if int.from_bytes(header[2:4], "big") & _FRAGMENT_OFFSET:
                return None
            place += _EXTENSION_BYTES
        else:
            place += _EXTENSION_BYTES * (header[1] + 1)
        protocol = header[0]
    return protocol, place


def read_ipv6(data: bytes) -> Ipv6Packet | None:
    """The IPv6 packet at the start of ``data``, or None where there is none, or not all of its header."""
    if len(data) < _HEADER.size or data[0] >> 4 != 6:
        return None
    length = _HEADER.size + int.from_bytes(data[4:6], "big")
    return Ipv6Packet(data[:length], IPv6Address(data[8:24]), IPv6Address(data[24:40]))


def error6(
    trouble: IcmpError, packet: Ipv6Packet, source: IPv6Address, dscp: int, labels: tuple[int, ...] = (), mtu: int = 0
) -> bytes:
    """The IPv6 packet that tells ``packet``'s sender of ``trouble``, from ``source``, marked ``dscp``.

    ``labels`` are the label stack entries it came with, top first; ``mtu`` is the next line's, in bytes. Where the
    packet is too long for that, that is what is told, and not the labels: this message has no room for extensions."""
    quote = packet.data[: _LONGEST - _HEADER.size - _ERROR.size - 4]
    if trouble is IcmpError.TOO_LONG:
        told = mtu.to_bytes(4, "big")
    elif labels:
        quote = quote[:QUOTE_BEFORE_EXTENSION].ljust(QUOTE_BEFORE_EXTENSION, b"\0")
        told = bytes([len(quote) // _QUOTE_UNIT, 0, 0, 0])
        quote += label_stack(labels)
    else:
        told = bytes(4)
    body = told + quote
    length = _ERROR.size + len(body)
    ends = source.packed, packet.source.packed
    pseudo = b"".join(ends) + struct.pack("!II", length, ICMPV6)  # RFC 8200, 8.1
    kind, code = _TYPE_AND_CODE[trouble]
    total = checksum(pseudo + _ERROR.pack(kind, code, 0) + body)
    header = _HEADER.pack(_VERSION | dscp << _CLASS_SHIFT, length, ICMPV6, TTL, *ends)
    return header + _ERROR.pack(kind, code, total) + body
