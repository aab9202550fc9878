"""Writes captures for tests: pcap and pcapng, right ones and such as other tools stumble over."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from helsewan.lab.captures.rewrite import internet_checksum

ETHERNET = 1
START_NS = 1_700_000_000 * 10**9
MACS = bytes.fromhex("020000000002020000000001")
MS = 10**6


@dataclass(frozen=True)
class Recorded:
    """A packet in a file: when (ns after START_NS), its bytes, its length on the wire (None: that of its bytes), and
    its interface in a pcapng file."""

    at_ns: int
    data: bytes
    wire_bytes: int | None = None
    interface: int = 0
    captured: int | None = None  # the captured length that the file claims

    @property
    def lengths(self) -> tuple[int, int]:
        """The captured length and that on the wire."""
        captured = len(self.data) if self.captured is None else self.captured
        return captured, len(self.data) if self.wire_bytes is None else self.wire_bytes


def pcap(
    packets: Iterable[Recorded], link_type: int = ETHERNET, nano: bool = False, order: str = "<", snap: int = 262_144
) -> bytes:
    """A pcap file, with times in microseconds or, by the other magic, nanoseconds."""
    magic, unit = (0xA1B23C4D, 1) if nano else (0xA1B2C3D4, 1000)
    pieces = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link_type)]
    for packet in packets:
        seconds, rest = divmod(START_NS + packet.at_ns, 10**9)
        pieces += [struct.pack(order + "IIII", seconds, rest // unit, *packet.lengths), packet.data]
    return b"".join(pieces)


@dataclass(frozen=True)
class Interface:
    """An interface of a pcapng file; ``resolution`` as if_tsresol has it (None: the option is missing)."""

    link_type: int = ETHERNET
    resolution: int | None = None
    offset_s: int = 0
    snap: int = 0

    @property
    def per_second(self) -> int:
        """Units of time in a second."""
        code = 6 if self.resolution is None else self.resolution
        return int((2 if code & 0x80 else 10) ** (code & 0x7F))


def pcapng(packets: Iterable[Recorded], interfaces: Sequence[Interface] = (Interface(),), order: str = "<") -> bytes:
    """A pcapng file of one section."""
    pieces = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)]
    for each in interfaces:
        options = b"" if each.resolution is None else _option(9, bytes([each.resolution]), order)
        options += _option(14, struct.pack(order + "q", each.offset_s), order) if each.offset_s else b""
        body = struct.pack(order + "HHI", each.link_type, 0, each.snap)
        pieces.append(block(1, body + (options + _option(0, b"", order) if options else b""), order))
    for packet in packets:
        on = interfaces[packet.interface] if packet.interface < len(interfaces) else Interface()
        units = (START_NS + packet.at_ns - on.offset_s * 10**9) * on.per_second // 10**9
        head = struct.pack(order + "IIIII", packet.interface, units >> 32, units & 0xFFFFFFFF, *packet.lengths)
        pieces.append(block(6, head + packet.data + bytes(-len(packet.data) % 4), order))
    return b"".join(pieces)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of a pcapng file."""
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def _option(code: int, value: bytes, order: str) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def ip4(source: str, destination: str, protocol: int, payload: bytes, *, length: int | None = None, ident: int = 0,
        fragment: int = 0, options: bytes = b"") -> bytes:  # fmt: skip
    """An IPv4 packet; ``length`` in place of its own, ``fragment`` the field of flags and offset."""
    whole = 20 + len(options) + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, whole, ident, fragment, 60, protocol, 0)
    head += ip_address(source).packed + ip_address(destination).packed + options
    return head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:] + payload


def ip6(source: str, destination: str, protocol: int, payload: bytes, *, length: int | None = None) -> bytes:
    """An IPv6 packet, extension headers being part of ``payload``."""
    whole = len(payload) if length is None else length
    ends = ip_address(source).packed + ip_address(destination).packed
    return struct.pack("!IHBB", 0x60000000, whole, protocol, 60) + ends + payload


def udp(source_port: int, destination_port: int, payload: bytes, *, checksum: int = 0) -> bytes:
    """A UDP datagram."""
    return struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), checksum) + payload


def tcp(
    source_port: int, destination_port: int, payload: bytes = b"", *, sequence: int = 1, flags: int = 0x18
) -> bytes:
    """A TCP segment without a valid checksum."""
    return struct.pack("!HHIIBBHHH", source_port, destination_port, sequence, 1, 0x50, flags, 65_535, 0, 0) + payload


def ethernet(packet: bytes, *, tags: Sequence[tuple[int, int]] = (), pad_to: int = 0) -> bytes:
    """A frame with an IP packet, behind VLAN tags (EtherType, number), padded to ``pad_to`` bytes."""
    head = MACS + b"".join(struct.pack("!HH", kind, number) for kind, number in tags)
    frame = head + struct.pack("!H", 0x0800 if packet[0] >> 4 == 4 else 0x86DD) + packet
    return frame + bytes(max(pad_to - len(frame), 0))


def conversation(source: str, destination: str, port: int, count: int, every_ns: int = 10 * MS) -> list[Recorded]:
    """UDP datagrams to and fro in turn, ``count`` in all."""
    ends = (source, destination, 40_000, port), (destination, source, port, 40_000)
    return [
        Recorded(number * every_ns, ethernet(_datagram(*ends[number % 2], b"%06d" % number))) for number in range(count)
    ]


def _datagram(source: str, destination: str, source_port: int, destination_port: int, payload: bytes) -> bytes:
    made = ip4 if "." in source else ip6
    return made(source, destination, 17, udp(source_port, destination_port, payload))


def write(path: Path, data: bytes) -> Path:
    """Write a capture; returns its path."""
    path.write_bytes(data)
    return path
