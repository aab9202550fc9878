"""rtnetlink requests, decoded by pyroute2, and replies in the layout of the kernel's headers."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from helsewan.emulation.netlink import messages

REQUEST, ACK, REPLACE, CREATE = 1, 4, 0x100, 0x400


def read(message: bytes, kind: type[Any]) -> Any:
    """The message as pyroute2 reads it; all of it must be read."""
    parsed = kind(message)
    parsed.decode()
    assert parsed["header"]["length"] == len(message)
    return parsed


def attributes(parsed: Any) -> dict[str, Any]:
    return dict(parsed["attrs"])


def test_raising_a_link() -> None:
    parsed = read(messages.set_link(7, up=True, address="02:51:00:00:00:2a", mtu=1600, txqlen=2000), ifinfmsg)
    assert (parsed["header"]["type"], parsed["header"]["flags"]) == (messages.RTM_SETLINK, REQUEST)
    assert (parsed["index"], parsed["flags"], parsed["change"]) == (7, 1, 1)
    wanted = {"IFLA_ADDRESS": "02:51:00:00:00:2a", "IFLA_MTU": 1600, "IFLA_TXQLEN": 2000}
    assert attributes(parsed) == wanted


def test_lowering_a_link_changes_nothing_else() -> None:
    parsed = read(messages.set_link(7, up=False), ifinfmsg)
    assert (parsed["flags"], parsed["change"], parsed["attrs"]) == (0, 1, [])


def test_withholding_ipv6_sets_no_flags() -> None:
    parsed = read(messages.withhold_ipv6(3), ifinfmsg)
    assert (parsed["index"], parsed["change"]) == (3, 0)
    inet6 = attributes(parsed)["IFLA_AF_SPEC"].get_attr("AF_INET6")
    assert inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE") == 1  # IN6_ADDR_GEN_MODE_NONE


@pytest.mark.parametrize(
    ("message", "kind", "flags"),
    [
        (messages.set_address(1, IPv4Address("10.1.2.3")), messages.RTM_NEWADDR, REQUEST | CREATE | REPLACE),
        (messages.delete_address(1, IPv4Address("10.1.2.3")), messages.RTM_DELADDR, REQUEST),
    ],
)
def test_setting_and_deleting_an_address(message: bytes, kind: int, flags: int) -> None:
    parsed = read(message, ifaddrmsg)
    assert (parsed["header"]["type"], parsed["header"]["flags"]) == (kind, flags)
    assert (parsed["family"], parsed["prefixlen"], parsed["scope"], parsed["index"]) == (socket.AF_INET, 32, 0, 1)
    assert attributes(parsed) == {"IFA_LOCAL": "10.1.2.3", "IFA_ADDRESS": "10.1.2.3"}


def test_setting_a_default_route() -> None:
    message = messages.set_default_route(IPv4Address("10.1.2.1"), 2, IPv4Address("10.1.2.2"), metric=200)
    parsed = read(message, rtmsg)
    assert parsed["header"]["flags"] == REQUEST | CREATE | REPLACE
    assert (parsed["dst_len"], parsed["table"], parsed["type"], parsed["scope"]) == (0, 254, 1, 0)
    assert parsed["flags"] == 4  # RTNH_F_ONLINK
    wanted = {"RTA_GATEWAY": "10.1.2.1", "RTA_OIF": 2, "RTA_PREFSRC": "10.1.2.2", "RTA_PRIORITY": 200}
    assert attributes(parsed) == wanted


def test_a_number_changes_only_the_header() -> None:
    message = messages.set_link(7, up=True, mtu=1500)
    parsed = read(messages.numbered(message, 5), ifinfmsg)
    assert (parsed["header"]["flags"], parsed["header"]["sequence_number"]) == (REQUEST | ACK, 5)
    assert messages.numbered(message, 5)[16:] == message[16:]


def test_replies_come_apart_and_errors_have_their_number() -> None:
    refused = struct.pack("=IHHIIi", 36, messages.NLMSG_ERROR, 0, 1, 0, -errno.EEXIST) + bytes(16)
    done = struct.pack("=IHHIIi", 36, messages.NLMSG_ERROR, 0, 2, 0, 0) + bytes(16)
    found = [(kind, number, messages.error_of(body)) for kind, number, body in messages.replies(refused + done)]
    assert found == [(messages.NLMSG_ERROR, 1, errno.EEXIST), (messages.NLMSG_ERROR, 2, 0)]


@pytest.mark.parametrize("up", [True, False])
def test_a_link_is_read(up: bool) -> None:
    head = struct.pack("=BxHiII", 0, 1, 2, (1 if up else 0) | 0x1002, 0)
    name = struct.pack("=HH5sxxx", 9, 3, b"wan0\0")
    counters = struct.pack("=HH24Q", 4 + 24 * 8, 23, *range(100, 124))
    assert messages.is_up(head + name + counters) is up
    read_back = messages.statistics(head + name + counters)
    assert (read_back["rx_packets"], read_back["rx_dropped"], read_back["tx_dropped"]) == (100, 106, 107)


def test_a_link_without_counters_is_told() -> None:
    with pytest.raises(ValueError, match="no counters"):
        messages.statistics(struct.pack("=BxHiII", 0, 1, 2, 1, 0))
