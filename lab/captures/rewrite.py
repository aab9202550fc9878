"""Makes an IP packet of a capture right for this network: its addresses, identification, hop limit, lengths and
checksums; and packets longer than the lines here carry into segments."""

from __future__ import annotations

import struct

from helsewan.lab.captures.ip_packet import (
    ICMP,
    ICMPV6,
    IPV6_BYTES,
    TCP,
    TCP_CWR,
    TCP_FIN,
    TCP_PSH,
    UDP,
    BadPacket,
    IpPacket,
)

LEAST_HOPS = 64  # the default of hosts: a capture taken on the way has fewer left, which may not suffice here
_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}  # from the transport header
IDENT4_MASK, LABEL6_MASK = 0xFFFF, 0xFFFFF


def internet_checksum(data: bytes, already: int = 0) -> int:
    """The Internet checksum (RFC 1071) of ``data``, ``already`` the sum of 16-bit words added to it. The sum of words
    in ones' complement is the whole number modulo 2^16 - 1, since 2^16 is 1 there."""
    number = int.from_bytes(data, "big") << (8 * (len(data) & 1))
    total = (number + already) % 0xFFFF
    return 0xFFFF - total if total else 0 if number or already else 0xFFFF


def rewritten(packet: IpPacket, source: bytes, destination: bytes, mtu_bytes: int, ident: int) -> list[bytes]:
    """``packet`` from ``source`` to ``destination``, as packets of at most ``mtu_bytes``, numbered from ``ident`` on in
    their identification (IPv4) or flow label (IPv6), by which each is recognised where it comes out; a fragment of
    IPv4 keeps its packet's. Raises BadPacket for one that is too long and not TCP."""
    if packet.is_fragment:
        return [_rewritten_fragment(packet, source, destination, mtu_bytes, ident)]
    if len(packet.data) <= mtu_bytes:
        return [_finished(bytearray(packet.data), packet, source, destination, ident)]
    if packet.protocol != TCP:
        raise _too_long(packet, mtu_bytes)
    pieces = enumerate(_segments(packet, mtu_bytes), ident)
    return [_finished(piece, packet, source, destination, number) for number, piece in pieces]


def _too_long(packet: IpPacket, mtu_bytes: int) -> BadPacket:
    reason = f"is {len(packet.data):,} bytes long, more than the {mtu_bytes:,} that lines here carry"
    return BadPacket(reason, "only TCP can be cut into segments: capture without offloads (ethtool -K DEVICE gro off)")


def _segments(packet: IpPacket, mtu_bytes: int) -> list[bytearray]:
    """A TCP packet whose segmentation was left to the network card, as that would have sent it: every segment as long
    as possible, FIN and PSH in the last, CWR in the first only (RFC 3168, 6.1.2)."""
    head, body = packet.data[: packet.payload_at], packet.data[packet.payload_at :]
    size = mtu_bytes - len(head)
    if size <= 0:
        raise _too_long(packet, mtu_bytes)
    (sequence,) = struct.unpack_from("!I", head, packet.transport_at + 4)
    pieces = []
    for start in range(0, len(body), size):
        piece = bytearray(head + body[start : start + size])
        struct.pack_into("!I", piece, packet.transport_at + 4, (sequence + start) & 0xFFFFFFFF)
        if start + size < len(body):
            piece[packet.transport_at + 13] &= ~(TCP_FIN | TCP_PSH) & 0xFF
        if start:
            piece[packet.transport_at + 13] &= ~TCP_CWR & 0xFF
        pieces.append(piece)
    return pieces


def _finished(piece: bytearray, packet: IpPacket, source: bytes, destination: bytes, ident: int) -> bytes:
    """``piece`` with everything that depends on its addresses and its length."""
    _set_head(piece, packet.version, source, destination, ident)
    at = packet.transport_at
    if packet.protocol in _CHECKSUM_AT:
        transport_bytes, checksum_at = len(piece) - at, at + _CHECKSUM_AT[packet.protocol]
        if packet.protocol == UDP:
            struct.pack_into("!H", piece, at + 4, transport_bytes)
        struct.pack_into("!H", piece, checksum_at, 0)
        pseudo = 0
        if packet.protocol != ICMP:
            pseudo = int.from_bytes(source + destination, "big") + packet.protocol + transport_bytes
        checksum = internet_checksum(bytes(memoryview(piece)[at:]), pseudo)
        struct.pack_into("!H", piece, checksum_at, checksum or (0xFFFF if packet.protocol == UDP else 0))
    return bytes(piece)


def _set_head(piece: bytearray, version: int, source: bytes, destination: bytes, ident: int) -> None:
    """Write the IP header's addresses, length, hops, identification or flow label, and checksum."""
    if version == 6:
        struct.pack_into("!I", piece, 0, struct.unpack_from("!I", piece)[0] & ~LABEL6_MASK | ident & LABEL6_MASK)
        struct.pack_into("!H", piece, 4, len(piece) - IPV6_BYTES)
        piece[7] = max(piece[7], LEAST_HOPS)
        piece[8:40] = source + destination
        return
    struct.pack_into("!H", piece, 2, len(piece))
    struct.pack_into("!H", piece, 4, ident & IDENT4_MASK)
    piece[8] = max(piece[8], LEAST_HOPS)
    piece[10:12] = b"\0\0"
    piece[12:20] = source + destination
    struct.pack_into("!H", piece, 10, internet_checksum(bytes(memoryview(piece)[: (piece[0] & 15) * 4])))


def _rewritten_fragment(packet: IpPacket, source: bytes, destination: bytes, mtu_bytes: int, ident: int) -> bytes:
    """A fragment with new addresses. The first one's checksum, which is of all fragments, is changed by what changed
    (RFC 1624)."""
    if len(packet.data) > mtu_bytes:
        raise _too_long(packet, mtu_bytes)
    piece = bytearray(packet.data)
    _set_head(piece, packet.version, source, destination, ident if packet.version == 6 else packet.ident)
    at = packet.transport_at + _CHECKSUM_AT.get(packet.protocol, 0)
    if not packet.fragment_at and packet.protocol in (TCP, UDP, ICMPV6) and at + 2 <= len(piece):
        (old,) = struct.unpack_from("!H", piece, at)
        if old or packet.protocol != UDP:  # 0: a UDP packet without a checksum
            before = int.from_bytes(packet.source + packet.destination, "big") % 0xFFFF
            after = int.from_bytes(source + destination, "big")
            new = internet_checksum(b"", (0xFFFF - old) + (0xFFFF - before) + after)
            struct.pack_into("!H", piece, at, new or (0xFFFF if packet.protocol == UDP else 0))
    return bytes(piece)
