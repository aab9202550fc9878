"""IPv4 and IPv6 packets as bytes."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from helsewan.controller.slowpath.icmp import checksum


def ipv4(
    source: str = "10.1.0.2", destination: str = "10.3.0.2", protocol: int = 17, fragment: int = 0, body: bytes = b""
) -> bytes:
    """An IPv4 packet."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 7, fragment, 1, protocol, 0)
    header += IPv4Address(source).packed + IPv4Address(destination).packed
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + body


UDP, HOP_BY_HOP, FRAGMENT, OPTIONS = 17, 0, 44, 60


def ipv6(
    source: str = "fd00:0:0:1::2", destination: str = "fd00:0:0:3::2", protocol: int = UDP, body: bytes = b""
) -> bytes:
    """An IPv6 packet."""
    header = struct.pack("!IHBB", 6 << 28, len(body), protocol, 1)
    return header + IPv6Address(source).packed + IPv6Address(destination).packed + body
