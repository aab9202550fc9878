"""ICMPv6 errors to the sender of an IPv6 packet that a router could not forward.

Bytes in, bytes out. Formats, when an error may be sent, and how much of the packet it quotes follow RFC 4443; the label
stack extension follows RFC 4884 and RFC 4950.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from helsewan.controller.slowpath.icmp import QUOTE_BEFORE_EXTENSION, TTL, IcmpError, checksum, label_stack

ICMPV6 = 58
_HEADER = struct.Struct("!IHBB16s16s")  # RFC 8200, 3
_ERROR = struct.Struct("!BBH")  # type, code, checksum
_MAX_ERROR_BYTES = 1280  # the IPv6 minimum MTU (RFC 4443, 2.4 c)
_VERSION = 6 << 28
_DSCP_SHIFT = 22  # above ECN and the flow label
_QUOTE_UNIT = 8  # bytes; unit of the quote length, in the first byte after the checksum (RFC 4884, 4.2)
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60  # extension headers (RFC 8200, 4)
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS})
_EXTENSION_BYTES, _FRAGMENT_OFFSET = 8, 0xFFF8
_FIRST_INFORMATIONAL, _REDIRECT = 128, 137  # ICMPv6 types; those below the first are errors

_TYPE_AND_CODE = {
    IcmpError.NO_ROUTE: (1, 0),
    IcmpError.PROHIBITED: (1, 1),
    IcmpError.NO_PATH: (1, 3),
    IcmpError.TOO_LONG: (2, 0),
    IcmpError.EXPIRED: (3, 0),
}


@dataclass(frozen=True, slots=True)
class Ipv6Packet:
    """An IPv6 packet: its bytes without padding, and its addresses."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address

    @property
    def may_be_fragmented(self) -> bool:
        """Whether a router may fragment the packet: never (RFC 8200, 5)."""
        return False

    @property
    def may_get_error(self) -> bool:
        """Whether an error about the packet may be sent: not about ICMPv6 errors, redirects, multicast packets, packets
        whose source is no single host, or packets whose upper-layer protocol is unknown (RFC 4443, 2.4 e)."""
        upper = upper_layer(self.data)
        if upper is None:
            return False
        protocol, offset = upper
        if protocol == ICMPV6:
            kind = self.data[offset] if offset < len(self.data) else 0
            if kind < _FIRST_INFORMATIONAL or kind == _REDIRECT:
                return False
        return not self.destination.is_multicast and not _is_no_host(self.source)


def _is_no_host(address: IPv6Address) -> bool:
    """Whether an address cannot be that of a single host beyond this link."""
    return address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local


def upper_layer(data: bytes) -> tuple[int, int] | None:
    """The upper-layer protocol and the offset of its header; None if ``data`` does not contain it."""
    protocol, offset = data[6], _HEADER.size
    while protocol in _EXTENSIONS:
        header = data[offset : offset + _EXTENSION_BYTES]
        if len(header) < _EXTENSION_BYTES:
            return None
        if protocol == _FRAGMENT:
            if int.from_bytes(header[2:4], "big") & _FRAGMENT_OFFSET:
                return None
            offset += _EXTENSION_BYTES
        else:
            offset += _EXTENSION_BYTES * (header[1] + 1)
        protocol = header[0]
    return protocol, offset


def read_ipv6(data: bytes) -> Ipv6Packet | None:
    """The IPv6 packet at the start of ``data``; None if there is none or its header is incomplete."""
    if len(data) < _HEADER.size or data[0] >> 4 != 6:
        return None
    length = _HEADER.size + int.from_bytes(data[4:6], "big")
    return Ipv6Packet(data[:length], IPv6Address(data[8:24]), IPv6Address(data[24:40]))


def icmp6_error(
    reason: IcmpError, packet: Ipv6Packet, source: IPv6Address, dscp: int, labels: tuple[int, ...] = (), mtu: int = 0
) -> bytes:
    """The IPv6 packet with an ICMPv6 error from ``source`` to the sender of ``packet``, marked ``dscp``.

    ``labels`` are the label stack entries with which ``packet`` arrived, top first; ``mtu`` is the MTU of the next link
    in bytes, for `IcmpError.TOO_LONG`, whose message (Packet Too Big) has no extensions and so contains no labels."""
    quote = packet.data[: _MAX_ERROR_BYTES - _HEADER.size - _ERROR.size - 4]
    if reason is IcmpError.TOO_LONG:
        second_word = mtu.to_bytes(4, "big")
    elif labels:
        quote = quote[:QUOTE_BEFORE_EXTENSION].ljust(QUOTE_BEFORE_EXTENSION, b"\0")
        second_word = bytes([len(quote) // _QUOTE_UNIT, 0, 0, 0])
        quote += label_stack(labels)
    else:
        second_word = bytes(4)
    body = second_word + quote
    length = _ERROR.size + len(body)
    ends = source.packed, packet.source.packed
    pseudo = b"".join(ends) + struct.pack("!II", length, ICMPV6)  # RFC 8200, 8.1
    kind, code = _TYPE_AND_CODE[reason]
    total = checksum(pseudo + _ERROR.pack(kind, code, 0) + body)
    header = _HEADER.pack(_VERSION | dscp << _DSCP_SHIFT, length, ICMPV6, TTL, *ends)
    return header + _ERROR.pack(kind, code, total) + body
