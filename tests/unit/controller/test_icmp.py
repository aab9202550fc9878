"""Encoding of ICMP errors as the RFCs specify it, for any packet."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ip_packets import ipv4

from helsewan.controller.rules.punt import read_frame
from helsewan.controller.slowpath.icmp import IcmpError, Ipv4Packet, checksum, icmp_error, read_ipv4

ROUTER = IPv4Address("100.64.0.7")
CS6 = 48


def packet(**about: object) -> Ipv4Packet:
    """A packet with these fields, decoded."""
    found = read_ipv4(ipv4(**about))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_checksum_of_the_rfcs_example() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2  # RFC 1071, 3


def test_time_exceeded_to_the_byte() -> None:
    """Bytes that tcpdump decodes without complaint."""
    about = packet(body=bytes.fromhex("9c40 4e20 0008 0000"))
    assert icmp_error(IcmpError.EXPIRED, about, ROUTER, CS6).hex(" ", 4) == (
        "45c00038 00004000 4001cbbb 64400007 0a010002"  # version, TOS, length; DF; TTL 64, ICMP; source, destination
        " 0b000a97 00000000"  # time exceeded in transit
        " 4500001c 00070000 0111a5c3 0a010002 0a030002 9c404e20 00080000"  # the quoted packet
    )


def test_label_stack_follows_a_padded_quote() -> None:
    message = icmp_error(IcmpError.EXPIRED, packet(body=bytes(8)), ROUTER, CS6, labels=(0x02710C01, 0x003E9D3F))[20:]
    assert message[5] * 4 == 128 and message[8 + 28 : 8 + 128] == bytes(100)
    extension = message[8 + 128 :]
    assert extension[:2] == b"\x20\x00" and checksum(extension) == 0  # version 2 (RFC 4884, 7)
    assert extension[4:] == bytes.fromhex("000c 0101 02710c01 003e9d3f")  # length, class, type (RFC 4950)


def test_too_long_contains_the_mtu_of_the_next_link() -> None:
    kind, code, _, unused, mtu = struct.unpack_from(
        "!BBHHH", icmp_error(IcmpError.TOO_LONG, packet(), ROUTER, 0, mtu=1400), 20
    )
    assert (kind, code, unused, mtu) == (3, 4, 0, 1400)


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [(IcmpError.EXPIRED, 11, 0), (IcmpError.NO_ROUTE, 3, 0), (IcmpError.NO_PATH, 3, 1), (IcmpError.PROHIBITED, 3, 13)],
)
def test_each_reason_has_its_type_and_code(reason: IcmpError, kind: int, code: int) -> None:
    assert icmp_error(reason, packet(), ROUTER, 0)[20:22] == bytes([kind, code])


@given(
    st.sampled_from(IcmpError),
    st.binary(max_size=1600),
    st.lists(st.integers(0, 2**32 - 1), max_size=3),
    st.integers(0, 63),
    st.integers(0, 65535),
)
def test_every_error_is_valid(reason: IcmpError, body: bytes, labels: list[int], dscp: int, mtu: int) -> None:
    about = packet(body=body)
    message = icmp_error(reason, about, ROUTER, dscp, tuple(labels), mtu)
    read = read_ipv4(message)
    assert read is not None and read.data == message and len(message) <= 576
    assert (read.source, read.destination) == (ROUTER, about.source)
    assert message[1] == dscp << 2
    assert checksum(message[:20]) == 0 and checksum(message[20:]) == 0
    whole = min(len(about.data), 128 if labels else 576 - 28)
    assert message[28 : 28 + whole] == about.data[:whole]
    assert not read.may_get_error, "errors about errors"


@pytest.mark.parametrize(
    ("about", "allowed"),
    [
        ({}, True),
        ({"fragment": 0x2000}, True),  # a first fragment
        ({"fragment": 0x4000}, True),  # not fragmented, with DF
        ({"fragment": 1}, False),
        ({"protocol": 1, "body": b"\x08"}, True),  # an echo
        ({"protocol": 1, "body": b"\x03"}, False),
        ({"protocol": 1}, False),  # too short to contain a type
        ({"destination": "224.0.0.251"}, False),
        ({"source": "224.0.0.1"}, False),
        ({"source": "255.255.255.255"}, False),
        ({"source": "0.0.0.0"}, False),
        ({"source": "127.0.0.1"}, False),
    ],
)
def test_errors_only_where_they_may_be_sent(about: dict[str, object], allowed: bool) -> None:
    assert packet(**about).may_get_error is allowed


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_rejected(data: bytes) -> None:
    for head in (b"", bytes(12) + b"\x08\x00", bytes(12) + b"\x88\x47", bytes(12) + b"\x81\x00\x00\x05\x88\x47"):
        contents = read_frame(head + data)
        if contents is not None:
            assert contents.packet.may_get_error in (True, False)
            icmp_error(IcmpError.EXPIRED, contents.packet, ROUTER, 0, contents.labels[:3])


def test_padding_is_not_part_of_a_packet() -> None:
    contents = read_frame(bytes(12) + b"\x08\x00" + ipv4() + bytes(26))
    assert contents is not None and contents.packet.data == ipv4()
