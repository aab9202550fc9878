"""Finds the IP packet in a captured frame, whatever the link layer: VLAN tags, MPLS labels and VXLAN tunnels of the
capture's network are taken off, for this network has its own."""

from __future__ import annotations

import struct

_ETHERNET, _RAW, _LOOP, _SLL, _SLL2 = 1, 101, 108, 113, 276  # LINKTYPE_ numbers (tcpdump.org/linktypes.html)
_NULL, _IPV4, _IPV6 = 0, 228, 229
_RAW_OLD = 12, 14  # DLT_RAW as some systems' files have it
LINK_TYPES = frozenset({_ETHERNET, _RAW, _LOOP, _SLL, _SLL2, _NULL, _IPV4, _IPV6, *_RAW_OLD})

_ETH_IPV4, _ETH_IPV6, _ETH_MPLS, _ETH_MPLS_MULTICAST = 0x0800, 0x86DD, 0x8847, 0x8848
_TAGS = {0x8100, 0x88A8, 0x9100, 0x9200}  # IEEE 802.1Q, 802.1ad, and what was used for the outer tag before it
_AF_INET, _AF_INET6 = {2}, {10, 23, 24, 28, 30}  # of Linux, BSDs, macOS (LINKTYPE_NULL)
_UDP, _VXLAN_PORT, _VXLAN_BYTES = 17, 4789, 8  # RFC 7348
_MOST_TUNNELS = 2
_BOTTOM_OF_STACK = 0x100


class NoPacket(Exception):
    """There is no IP packet in a frame; ``reason`` says what there is."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CutHeader(Exception):
    """A frame ends within the headers before its IP packet."""


def ip_packet_in(link_type: int, frame: bytes) -> bytes:
    """The IP packet in ``frame`` of an interface of ``link_type``, to the frame's end. Raises NoPacket and CutHeader,
    and ValueError for a link type that is not known."""
    if link_type not in LINK_TYPES:
        raise ValueError(f"link type {link_type}")
    packet = _after_link(link_type, frame)
    for _ in range(_MOST_TUNNELS):
        inner = _in_tunnel(packet)
        if inner is None:
            break
        packet = inner
    return packet


def _after_link(link_type: int, frame: bytes) -> bytes:
    try:
        if link_type == _ETHERNET:
            return _after_type(frame, 12)
        if link_type == _SLL:
            return _after_type(frame, 14)
        if link_type == _SLL2:
            return _by_type(struct.unpack_from("!H", frame)[0], frame, 20)
        if link_type in (_NULL, _LOOP):
            return _after_family(frame)
        return _of_version(frame)
    except (struct.error, IndexError):
        raise CutHeader from None


def _after_type(frame: bytes, at: int) -> bytes:
    """The packet after an EtherType at ``at``."""
    return _by_type(struct.unpack_from("!H", frame, at)[0], frame, at + 2)


def _by_type(ether_type: int, frame: bytes, at: int) -> bytes:
    """The packet of ``ether_type`` that begins at ``at``, after VLAN tags and MPLS labels."""
    while ether_type in _TAGS:
        ether_type = struct.unpack_from("!H", frame, at + 2)[0]
        at += 4
    if ether_type in (_ETH_MPLS, _ETH_MPLS_MULTICAST):
        while not struct.unpack_from("!I", frame, at)[0] & _BOTTOM_OF_STACK:
            at += 4
        return _of_version(frame[at + 4 :])
    if ether_type not in (_ETH_IPV4, _ETH_IPV6):
        raise NoPacket(f"of EtherType 0x{ether_type:04x}" if ether_type >= 0x600 else "of IEEE 802.2 LLC")
    return frame[at:]


def _after_family(frame: bytes) -> bytes:
    """The packet after an address family of 4 bytes: of the capturing machine's byte order or the network's."""
    families = set(struct.unpack_from("<I", frame)) | set(struct.unpack_from(">I", frame))
    if not families & (_AF_INET | _AF_INET6):
        raise NoPacket(f"of address family {min(families)}")
    return frame[4:]


def _of_version(packet: bytes) -> bytes:
    """``packet`` if its first half byte is an IP version: also behind MPLS labels nothing else tells it."""
    if packet[0] >> 4 not in (4, 6):
        raise NoPacket("behind labels or a raw link type, and not of IP")
    return packet


def _in_tunnel(packet: bytes) -> bytes | None:
    """The packet inside a VXLAN packet; None for any other packet."""
    if not packet:
        raise CutHeader
    if packet[0] >> 4 == 4:
        at, protocol = (packet[0] & 15) * 4, packet[9] if len(packet) > 9 else 0
        is_fragment = len(packet) >= 8 and struct.unpack_from("!H", packet, 6)[0] & 0x3FFF
    else:
        at, protocol, is_fragment = 40, packet[6] if len(packet) > 6 else 0, 0
    if protocol != _UDP or is_fragment or len(packet) < at + 8:
        return None
    if struct.unpack_from("!H", packet, at + 2)[0] != _VXLAN_PORT:
        return None
    return _after_link(_ETHERNET, packet[at + 8 + _VXLAN_BYTES :])
