"""Encoding of ICMPv6 errors as the RFCs specify it, for any packet."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ip_packets import FRAGMENT, HOP_BY_HOP, OPTIONS, UDP, ipv6

from helsewan.controller.rules.punt import read_frame
from helsewan.controller.slowpath.icmp import IcmpError, checksum
from helsewan.controller.slowpath.icmp6 import ICMPV6, Ipv6Packet, icmp6_error, read_ipv6

ROUTER = IPv6Address("fd68:7772::7")
CS6 = 48
MINIMUM_MTU = 1280  # RFC 8200, 5


def packet(**about: object) -> Ipv6Packet:
    """A packet with these fields, decoded."""
    found = read_ipv6(ipv6(**about))  # type: ignore[arg-type]
    assert found is not None
    return found


def checksum_is_valid(message: bytes) -> bool:
    """Whether the checksum of an ICMPv6 message is valid (RFC 8200, 8.1)."""
    pseudo = message[8:40] + struct.pack("!II", len(message) - 40, ICMPV6)
    return checksum(pseudo + message[40:]) == 0


def test_time_exceeded_to_the_byte() -> None:
    """Bytes that tcpdump decodes without complaint."""
    about = packet(body=bytes.fromhex("9c40 4e20 0008 0000"))
    assert icmp6_error(IcmpError.EXPIRED, about, ROUTER, CS6).hex(" ", 4) == (
        "6c000000 00383a40"  # version, class and flow label; length, ICMPv6, hop limit
        " fd687772 00000000 00000000 00000007 fd000000 00000001 00000000 00000002"
        " 0300352b 00000000"  # hop limit exceeded in transit
        " 60000000 00081101 fd000000 00000001 00000000 00000002 fd000000 00000003 00000000 00000002"
        " 9c404e20 00080000"
    )


def test_label_stack_follows_a_padded_quote() -> None:
    message = icmp6_error(IcmpError.EXPIRED, packet(body=bytes(8)), ROUTER, CS6, labels=(0x02710C01, 0x003E9D3F))[40:]
    assert message[4] * 8 == 128 and message[8 + 48 : 8 + 128] == bytes(80)
    extension = message[8 + 128 :]
    assert extension[:2] == b"\x20\x00" and checksum(extension) == 0  # version 2 (RFC 4884, 7)
    assert extension[4:] == bytes.fromhex("000c 0101 02710c01 003e9d3f")  # length, class, type (RFC 4950)


@pytest.mark.parametrize("labels", [(), (0x003E9D3F,)])
def test_too_long_contains_the_mtu_of_the_next_link_and_no_labels(labels: tuple[int, ...]) -> None:
    about = packet(body=bytes(1460))
    message = icmp6_error(IcmpError.TOO_LONG, about, ROUTER, 0, labels, mtu=1400)
    assert struct.unpack_from("!BB2xI", message, 40) == (2, 0, 1400)
    assert message[48:] == about.data[: MINIMUM_MTU - 48]


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [(IcmpError.EXPIRED, 3, 0), (IcmpError.NO_ROUTE, 1, 0), (IcmpError.NO_PATH, 1, 3), (IcmpError.PROHIBITED, 1, 1)],
)
def test_each_reason_has_its_type_and_code(reason: IcmpError, kind: int, code: int) -> None:
    assert icmp6_error(reason, packet(), ROUTER, 0)[40:42] == bytes([kind, code])


@given(
    st.sampled_from(IcmpError),
    st.binary(max_size=1600),
    st.lists(st.integers(0, 2**32 - 1), max_size=3),
    st.integers(0, 63),
    st.integers(0, 65535),
)
def test_every_error_is_valid(reason: IcmpError, body: bytes, labels: list[int], dscp: int, mtu: int) -> None:
    about = packet(body=body)
    message = icmp6_error(reason, about, ROUTER, dscp, tuple(labels), mtu)
    read = read_ipv6(message)
    assert read is not None and read.data == message and len(message) <= MINIMUM_MTU
    assert (read.source, read.destination) == (ROUTER, about.source)
    assert int.from_bytes(message[:4], "big") >> 22 & 63 == dscp
    assert checksum_is_valid(message)
    whole = min(len(about.data), 128 if labels and reason is not IcmpError.TOO_LONG else MINIMUM_MTU - 48)
    assert message[48 : 48 + whole] == about.data[:whole]
    assert not read.may_get_error, "errors about errors"


@pytest.mark.parametrize(
    ("about", "allowed"),
    [
        ({}, True),
        ({"protocol": ICMPV6, "body": b"\x80"}, True),  # an echo
        ({"protocol": ICMPV6, "body": b"\x01"}, False),
        ({"protocol": ICMPV6, "body": b"\x89"}, False),  # a redirect
        ({"protocol": ICMPV6}, False),  # too short to contain a type
        ({"protocol": OPTIONS, "body": bytes([ICMPV6, 0, *bytes(6), 1])}, False),  # an error behind options
        ({"protocol": OPTIONS, "body": bytes([ICMPV6, 1, *bytes(14), 128])}, True),
        ({"protocol": HOP_BY_HOP, "body": bytes([OPTIONS, 0, *bytes(6), UDP, 0, *bytes(6)])}, True),
        ({"protocol": HOP_BY_HOP, "body": bytes([UDP])}, False),  # truncated
        ({"protocol": FRAGMENT, "body": bytes([ICMPV6, 0, 0, 1, *bytes(4), 128])}, True),  # a first fragment
        ({"protocol": FRAGMENT, "body": bytes([ICMPV6, 0, 0, 8, *bytes(4), 128])}, False),
        ({"destination": "ff02::1"}, False),
        ({"source": "ff02::1"}, False),
        ({"source": "::"}, False),
        ({"source": "::1"}, False),
        ({"source": "fe80::2"}, False),
    ],
)
def test_errors_only_where_they_may_be_sent(about: dict[str, object], allowed: bool) -> None:
    assert packet(**about).may_get_error is allowed


@given(st.binary(max_size=200), st.sampled_from([UDP, ICMPV6, HOP_BY_HOP, FRAGMENT, OPTIONS]))
def test_any_bytes_are_decoded_or_rejected(data: bytes, protocol: int) -> None:
    for head in (bytes(12) + b"\x86\xdd", bytes(12) + b"\x88\x47" + b"\x00\x3e\x91\x3f", bytes(14)):
        for frame in (head + data, head + ipv6(protocol=protocol, body=data)):
            contents = read_frame(frame)
            if contents is not None and isinstance(contents.packet, Ipv6Packet):
                assert contents.packet.may_get_error in (True, False)
                icmp6_error(IcmpError.EXPIRED, contents.packet, ROUTER, 0, contents.labels[:3])


def test_padding_is_ignored_and_the_version_below_labels_is_detected() -> None:
    for head in (b"\x86\xdd", b"\x88\x47" + b"\x00\x3e\x91\x3f"):
        contents = read_frame(bytes(12) + head + ipv6() + bytes(26))
        assert contents is not None and contents.packet.data == ipv6()
