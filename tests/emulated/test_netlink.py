"""Netlink against the kernel: what is asked is done, what is refused is told, and nobody speaks unasked."""

from __future__ import annotations

import errno
import os
import select
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.nodes.nodes import link_local_address
from helsewan.emulation.sandbox.namespaces import Namespace, open_tap

ADDRESS, GATEWAY = IPv4Address("10.1.2.2"), IPv4Address("10.1.2.1")
PATIENCE_S = 30.0
UNASKED = 3  # groups joined, a neighbour looked for, routers sought: what an interface says when IPv6 begins


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace with a TAP t0 that somebody holds."""
    made = Namespace()
    tap = open_tap(made, "t0")
    yield made
    os.close(tap)
    made.close()


def shown(namespace: Namespace, *argv: str) -> str:
    with namespace.entered():
        return subprocess.run(["ip", *argv], capture_output=True, text=True, check=True).stdout


def test_a_site_is_set_up_in_one_go(namespace: Namespace) -> None:
    netlink = Netlink(namespace)
    with netlink.together():
        netlink.set_loopback_address(ADDRESS)
        netlink.withhold_ipv6("t0")
        netlink.set_link("t0", up=True, address="02:51:00:00:00:2a", mtu=1400, txqlen=77)
        netlink.set_default_route(GATEWAY, "t0", ADDRESS, metric=100)
    assert f"inet {ADDRESS}/32" in shown(namespace, "address", "show", "lo")
    link = shown(namespace, "link", "show", "t0")
    assert all(part in link for part in ("mtu 1400", "qlen 77", "02:51:00:00:00:2a", "UP"))
    route = shown(namespace, "route", "show", "default").split()
    assert route[:5] == ["default", "via", str(GATEWAY), "dev", "t0"]
    assert {"onlink", str(ADDRESS), "100"} <= set(route)
    assert "inet6" not in shown(namespace, "address", "show", "t0")
    assert netlink.is_up("t0")
    netlink.set_link("t0", up=False)
    assert not netlink.is_up("t0")


def test_ipv6_is_usable_at_once(namespace: Namespace) -> None:
    netlink, address, gateway = Netlink(namespace), IPv6Address("fd00:1::2"), IPv6Address("fe80::1")
    link_local = link_local_address("02:51:00:00:00:2a")
    with netlink.together():
        netlink.withhold_ipv6("t0")
        netlink.set_link("t0", up=True)
        netlink.set_ipv6(address, link_local, gateway, "t0", metric=100)
    shows = shown(namespace, "-6", "address", "show", "dev", "t0")
    assert f"inet6 {address}/128" in shows and "tentative" not in shows
    assert "inet6 fe80::51:ff:fe00:2a/64" in shows
    route = shown(namespace, "-6", "route", "show", "default").split()
    assert route[:5] == ["default", "via", str(gateway), "dev", "t0"]
    assert {str(address), "100"} <= set(route)


def test_a_neighbour_is_known_for_good(namespace: Namespace) -> None:
    netlink = Netlink(namespace)
    netlink.set_link("t0", up=True)
    netlink.set_neighbour(IPv6Address("fe80::1"), "t0", "02:70:00:00:00:07")
    told = shown(namespace, "-6", "neighbour", "show", "dev", "t0").split()
    assert told == ["fe80::1", "lladdr", "02:70:00:00:00:07", "PERMANENT"]


def test_an_address_takes_the_place_of_another(namespace: Namespace) -> None:
    netlink, other = Netlink(namespace), IPv4Address("10.1.2.9")
    netlink.set_loopback_address(ADDRESS)
    netlink.set_loopback_address(ADDRESS, instead_of=ADDRESS)
    netlink.set_loopback_address(other, instead_of=ADDRESS)
    addresses = shown(namespace, "address", "show", "lo")
    assert f"inet {other}/32" in addresses
    assert str(ADDRESS) not in addresses


def test_a_refusal_names_what_was_asked_and_spares_the_rest(namespace: Namespace) -> None:
    netlink = Netlink(namespace)
    refusal = f"set default route by {GATEWAY} on t0: Network is down"
    with pytest.raises(OSError, match=refusal) as raised, netlink.together():
        netlink.set_default_route(GATEWAY, "t0", ADDRESS, metric=100)
        netlink.set_link("t0", up=True)
    assert raised.value.errno == errno.ENETDOWN
    assert netlink.is_up("t0")


def test_an_interface_that_is_not_there_is_named(namespace: Namespace) -> None:
    with pytest.raises(OSError, match="no interface t1 in this namespace"):
        Netlink(namespace).set_link("t1", up=True)


def test_what_fails_amid_a_batch_leaves_all_of_it_undone(namespace: Namespace) -> None:
    netlink = Netlink(namespace)
    with pytest.raises(RuntimeError, match="ours"), netlink.together():
        netlink.set_link("t0", up=True)
        raise RuntimeError("ours")
    assert not netlink.is_up("t0")
    netlink.set_link("t0", up=True)
    assert netlink.is_up("t0")


def test_an_interface_without_ipv6_stays_silent_while_its_neighbour_speaks() -> None:
    namespace = Namespace()
    taps = [open_tap(namespace, name) for name in ("t0", "t1")]
    try:
        netlink = Netlink(namespace)
        netlink.withhold_ipv6("t0")
        for name in ("t0", "t1"):
            netlink.set_link(name, up=True)
        for _ in range(UNASKED):
            assert select.select(taps, [], [], PATIENCE_S)[0] == taps[1:]
            os.read(taps[1], 2048)
    finally:
        for tap in taps:
            os.close(tap)
        namespace.close()
