"""Packets behind every link layer, and what others stumble over in them: found, put right, or refused."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from capture_files import MACS, ethernet, ip4, ip6, tcp, udp
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from helsewan.lab.captures.ip_packet import BadPacket, IpPacket, parse
from helsewan.lab.captures.link_layer import LINK_TYPES, CutHeader, NoPacket, ip_packet_in
from helsewan.lab.captures.rewrite import internet_checksum, rewritten

DATAGRAM = ip4("10.1.0.1", "10.2.0.1", 17, udp(40_000, 5060, b"hello"))
DATAGRAM6 = ip6("2001:db8::1", "2001:db8::2", 17, udp(40_000, 5060, b"hello"))
HERE4, THERE4 = b"\x0a\0\x0a\x03", b"\x0a\0\x0b\x04"
HERE6, THERE6 = bytes.fromhex("fd68776e000000000000000000000003"), bytes.fromhex("fd68776e000100000000000000000004")
MTU = 1500


def ends(version: int) -> tuple[bytes, bytes]:
    return (HERE4, THERE4) if version == 4 else (HERE6, THERE6)


def sent(packet: bytes, missing: int = 0, mtu: int = MTU) -> list[Packet]:
    """``packet`` as it is sent here, read by Scapy; every checksum and length is right."""
    parsed = parse(packet, missing)
    pieces = rewritten(parsed, *ends(parsed.version), mtu, 7)
    read: list[Packet] = [(IP if parsed.version == 4 else IPv6)(piece) for piece in pieces]
    for piece, each in zip(pieces, read, strict=True):
        assert bytes(recomputed(each)) == piece
        assert (each.src, each.dst) == tuple(str(ip_address(end)) for end in ends(parsed.version))
    return read


def recomputed(packet: Packet) -> Packet:
    """A copy whose lengths and checksums Scapy works out again."""
    copy = packet.copy()
    layer: Packet = copy
    while layer:
        for name in ("chksum", "cksum", "len", "plen"):
            if name in layer.fields and layer.name != "Raw":
                delattr(layer, name)
        layer = layer.payload
    return copy


LINK_LAYERS = {
    "ethernet": (1, ethernet(DATAGRAM)),
    "802.1Q": (1, ethernet(DATAGRAM, tags=[(0x8100, 12)])),
    "QinQ": (1, ethernet(DATAGRAM, tags=[(0x88A8, 100), (0x8100, 12)])),
    "QinQ with the old EtherType": (1, ethernet(DATAGRAM, tags=[(0x9100, 100), (0x8100, 12)])),
    "MPLS": (1, MACS + bytes.fromhex("8847" "00010040" "00020140") + DATAGRAM),
    "SLL": (113, bytes(14) + b"\x08\x00" + DATAGRAM),
    "SLL2": (276, b"\x08\x00" + bytes(18) + DATAGRAM),
    "raw IP": (101, DATAGRAM),
    "raw IP, number 12": (12, DATAGRAM),
    "raw IPv4": (228, DATAGRAM),
    "loopback, little-endian": (0, struct.pack("<I", 2) + DATAGRAM),
    "loopback, big-endian": (0, struct.pack(">I", 2) + DATAGRAM),
    "OpenBSD loopback": (108, struct.pack(">I", 2) + DATAGRAM),
    "VXLAN": (1, ethernet(ip4("192.0.2.1", "192.0.2.2", 17, udp(50_000, 4789, bytes(8) + ethernet(DATAGRAM))))),
    "VXLAN over IPv6": (
        1, ethernet(ip6("2001:db8::8", "2001:db8::9", 17, udp(50_000, 4789, bytes(8) + ethernet(DATAGRAM)))),
    ),
    "802.1Q over SLL": (113, bytes(14) + b"\x81\x00" + struct.pack("!HH", 12, 0x0800) + DATAGRAM),
}  # fmt: skip


@pytest.mark.parametrize("name", LINK_LAYERS)
def test_the_packet_is_found_behind_every_link_layer(name: str) -> None:
    assert ip_packet_in(*LINK_LAYERS[name]) == DATAGRAM


@pytest.mark.parametrize("family", [10, 24, 28, 30])
def test_ipv6_behind_the_loopback_header_of_every_system(family: int) -> None:
    assert ip_packet_in(0, struct.pack("<I", family) + DATAGRAM6) == DATAGRAM6


def test_what_is_no_ip_is_told_by_its_kind() -> None:
    for frame, reason in (
        (MACS + b"\x08\x06" + bytes(28), "of EtherType 0x0806"),
        (MACS + b"\x00\x26" + bytes(38), "of IEEE 802.2 LLC"),
    ):
        with pytest.raises(NoPacket, match=reason):
            ip_packet_in(1, frame)
    with pytest.raises(NoPacket, match="address family"):
        ip_packet_in(0, struct.pack("<I", 7) + DATAGRAM)


@given(st.sampled_from(sorted(LINK_TYPES)), st.binary(max_size=120))
def test_hostile_frames_are_found_passed_over_or_refused(link_type: int, frame: bytes) -> None:
    try:
        packet = parse(ip_packet_in(link_type, frame), 0)
    except (NoPacket, CutHeader, BadPacket):
        return
    assert packet.version in (4, 6) and packet.transport_at <= len(packet.data) <= len(frame)


HEADERS = st.one_of(
    st.binary(min_size=0, max_size=200).map(lambda rest: b"\x45" + rest),
    st.binary(min_size=0, max_size=200).map(lambda rest: b"\x60" + rest),
)


@given(HEADERS, st.integers(0, 2000))
def test_hostile_packets_are_sent_right_or_refused(data: bytes, missing: int) -> None:
    try:
        packet = parse(data, missing)
        pieces = rewritten(packet, *ends(packet.version), MTU, 1)
    except BadPacket:
        return
    assert all(20 <= len(piece) <= MTU for piece in pieces)


def test_padding_of_a_short_frame_is_not_sent() -> None:
    frame = ethernet(DATAGRAM, pad_to=60)
    assert len(frame) == 60 > 14 + len(DATAGRAM)
    (packet,) = sent(ip_packet_in(1, frame))
    assert bytes(packet[UDP].payload) == b"hello"


def test_a_packet_captured_in_part_is_sent_whole_with_zeros() -> None:
    whole = ip4("10.1.0.1", "10.2.0.1", 17, udp(1, 2, b"x" * 1000))
    (packet,) = sent(whole[:100], missing=len(whole) - 100)
    assert bytes(packet[UDP].payload) == b"x" * 72 + bytes(928)


@pytest.mark.parametrize("length", [10, 15, 18, 20, 27, 39])
def test_a_packet_cut_within_its_headers_is_refused(length: int) -> None:
    packet = ip4("10.1.0.1", "10.2.0.1", 6, tcp(1, 2, b"x" * 100))
    with pytest.raises(BadPacket, match="is cut within its headers"):
        parse(packet[:length], len(packet) - length)


@pytest.mark.parametrize("claimed", [None, 0])
def test_an_offloaded_packet_of_64_kb_is_sent_as_segments(claimed: int | None) -> None:
    """Also where its length, which did not fit, is 0; checksums are those of no segment."""
    body = bytes(range(256)) * 250
    packet = ip4("10.1.0.1", "10.2.0.1", 6, tcp(1, 443, body, sequence=0xFFFFFF00, flags=0x19), length=claimed)
    pieces = sent(packet)
    assert b"".join(bytes(piece[TCP].payload) for piece in pieces) == body
    assert [len(piece) for piece in pieces[:-1]] == [MTU] * (len(pieces) - 1)
    assert [piece[TCP].seq for piece in pieces] == [(0xFFFFFF00 + 1460 * n) & 0xFFFFFFFF for n in range(len(pieces))]
    assert [piece[TCP].flags.value for piece in pieces] == [0x10] * (len(pieces) - 1) + [0x19]
    assert [piece.id for piece in pieces] == list(range(7, 7 + len(pieces)))


@pytest.mark.parametrize("claimed", [None, 0])
def test_an_offloaded_ipv6_packet_is_sent_as_segments(claimed: int | None) -> None:
    body = b"x" * 20_000
    pieces = sent(ip6("2001:db8::1", "2001:db8::2", 6, tcp(1, 443, body), length=claimed))
    assert b"".join(bytes(piece[TCP].payload) for piece in pieces) == body
    assert [piece.fl for piece in pieces] == list(range(7, 7 + len(pieces)))


def test_a_long_packet_that_is_no_tcp_is_refused() -> None:
    packet = parse(ip4("10.1.0.1", "10.2.0.1", 17, udp(1, 2, b"x" * 4000)), 0)
    with pytest.raises(BadPacket, match=r"is 4,028 bytes long, more than the 1,500 that lines here carry"):
        rewritten(packet, HERE4, THERE4, MTU, 0)


def test_a_missing_checksum_is_worked_out() -> None:
    """0 is what an offloading machine leaves, or a UDP datagram has that was sent without."""
    for packet in (DATAGRAM, DATAGRAM6):
        assert struct.unpack_from("!H", packet, len(packet) - 5 - 2)[0] == 0
        (made,) = sent(packet)
        assert made[UDP].chksum != 0


def test_the_length_of_a_udp_datagram_is_made_right() -> None:
    packet = bytearray(DATAGRAM)
    struct.pack_into("!H", packet, 24, 0)
    (made,) = sent(bytes(packet))
    assert made[UDP].len == 13


@pytest.mark.parametrize("kind", [0, 43, 60, 51])
def test_extension_headers_stay_and_the_transport_is_found_behind_them(kind: int) -> None:
    size = 16 if kind == 51 else 8
    header = bytes([17, 2 if kind == 51 else 0]) + bytes(size - 2)
    packet = parse(ip6("2001:db8::1", "2001:db8::2", kind, header + udp(40_000, 5060, b"hello")), 0)
    assert (packet.protocol, packet.source_port, packet.destination_port) == (17, 40_000, 5060)
    (made,) = rewritten(packet, HERE6, THERE6, MTU, 1)
    assert made[40 : 40 + size] == header
    at = 40 + size
    pseudo = int.from_bytes(HERE6 + THERE6, "big") + 17 + 13
    assert internet_checksum(made[at:], pseudo) == 0


def test_a_source_route_is_refused() -> None:
    header = bytes([17, 0, 4, 1]) + bytes(4)
    with pytest.raises(BadPacket, match="routing header"):
        parse(ip6("2001:db8::1", "2001:db8::2", 43, header + udp(1, 2, b"")), 0)


def test_endless_extension_headers_are_refused() -> None:
    chain = bytes([60, 0]) + bytes(6)
    with pytest.raises(BadPacket, match="more than 16 extension headers"):
        parse(ip6("2001:db8::1", "2001:db8::2", 60, chain * 40), 0)


def fragments(version: int, payload: bytes, checksum: int) -> list[bytes]:
    """A UDP datagram in two fragments."""
    whole = udp(40_000, 5060, payload, checksum=checksum)
    first, second = whole[:800], whole[800:]
    if version == 4:
        return [
            ip4("10.1.0.1", "10.2.0.1", 17, first, ident=99, fragment=0x2000),
            ip4("10.1.0.1", "10.2.0.1", 17, second, ident=99, fragment=100),
        ]
    return [
        ip6("2001:db8::1", "2001:db8::2", 44, struct.pack("!BBHI", 17, 0, place, 99) + part)
        for place, part in ((1, first), (800, second))
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_stay_fragments_with_a_checksum_of_the_whole(version: int) -> None:
    payload = bytes(range(256)) * 4
    before = (DATAGRAM if version == 4 else DATAGRAM6)[:40]
    old = before[12:20] if version == 4 else before[8:40]
    length = 8 + len(payload)
    checksum = internet_checksum(udp(40_000, 5060, payload), int.from_bytes(old, "big") + 17 + length)
    parsed = [parse(each, 0) for each in fragments(version, payload, checksum)]
    assert [each.is_fragment for each in parsed] == [True, True]
    assert [each.fragment_at for each in parsed] == [0, 800]
    made = [rewritten(each, *ends(version), MTU, 5)[0] for each in parsed]
    whole = b"".join(piece[each.transport_at :] for piece, each in zip(made, parsed, strict=True))
    here, there = ends(version)
    assert internet_checksum(whole, int.from_bytes(here + there, "big") + 17 + length) == 0
    if version == 4:
        assert [piece[4:8] for piece in made] == [struct.pack("!HH", 99, place) for place in (0x2000, 100)]


def test_headers_that_contradict_themselves_are_refused() -> None:
    for packet, reason in (
        (b"\x44" + DATAGRAM[1:], "IPv4 header of 16 bytes"),
        (ip4("10.1.0.1", "10.2.0.1", 17, b"", length=2000), "is 2,000 bytes long by its IP header, 20 on the wire"),
        (ip4("10.1.0.1", "10.2.0.1", 17, b"x" * 8, length=12), "is 12 bytes long by its IP header, which has 20"),
        (b"\x50" + bytes(30), "IP version 5"),
        (ip4("10.1.0.1", "10.2.0.1", 6, tcp(1, 2)[:12] + b"\x10" + tcp(1, 2)[13:]), "TCP header of 4 bytes"),
    ):
        with pytest.raises(BadPacket, match=reason):
            parse(packet, 0)


def test_hops_are_enough_for_this_network() -> None:
    packet = bytearray(DATAGRAM)
    packet[8] = 3
    (made,) = sent(bytes(packet))
    assert made.ttl == 64


def test_icmp_errors_and_discovery_are_recognised() -> None:
    def of(protocol: int, kind: int) -> IpPacket:
        made = ip4 if protocol == 1 else ip6
        addresses = ("10.1.0.1", "10.2.0.1") if protocol == 1 else ("2001:db8::1", "2001:db8::2")
        return parse(made(*addresses, protocol, bytes([kind]) + bytes(7)), 0)

    assert [of(1, kind).is_icmp_error for kind in (0, 3, 8, 11)] == [False, True, False, True]
    assert [of(58, kind).is_icmp_error for kind in (1, 3, 128)] == [True, True, False]
    assert [of(58, kind).is_discovery for kind in (128, 135, 136)] == [False, True, True]
