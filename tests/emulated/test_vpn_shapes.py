"""The shapes of VPN that RFC 4364 is used for, against real switches and packets, over IPv4 and IPv6: hub and spoke,
extranet, addresses that two VPNs both have, sites with two lines; and what is dropped is counted by its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest
from controller_world import ControllerWorld, running, small_plan
from waiting import wait_for

from helsewan.common.document import loads
from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.source import read_policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network

pytestmark = pytest.mark.emulated

IP_VERSION = pytest.mark.parametrize("version", [4, 6])
PORT = 7000
POLICY = """\
name: shapes
classes:
  rest:
    queue: 0
    dscps: [BE]
    scheduling: weighted
    weight: 10
    buffer: 200 ms
    targets: {delay: 1 s, jitter: 1 s, loss: 1 %}
services:
  ping: {protocol: icmp, class: rest}
  echo: {protocol: udp, ports: [7000], class: rest}
vpns:
  hub: {members: {site: [hub]}, import: [spokes, shared], export: [hub]}
  spokes: {members: {site: [spoke-a, spoke-b]}, import: [hub], export: [spokes]}
  shared: {members: {site: [shared]}, import: [hub], export: [shared]}
  red: {members: {site: [red-a, red-b]}, import: [red], export: [red]}
  blue: {members: {site: [blue-a, blue-b]}, import: [blue], export: [blue]}
  backed: {members: {site: [backed, backed-peer]}, import: [backed], export: [backed]}
  doubled: {lines: both, members: {site: [doubled, doubled-peer]}, import: [doubled], export: [doubled]}
contracts:
  hub-and-spoke: {from: {site: [hub]}, to: {site: [spoke-a, spoke-b]}, both_ways: true, services: [ping, echo]}
  extranet: {from: {site: [hub]}, to: {site: [shared]}, both_ways: true, services: [ping]}
  red: {from: {site: [red-a]}, to: {site: [red-b]}, services: [ping, echo]}
  blue: {from: {site: [blue-a]}, to: {site: [blue-b]}, services: [ping, echo]}
  backed: {from: {site: [backed-peer]}, to: {site: [backed]}, services: [ping]}
  doubled: {from: {site: [doubled-peer]}, to: {site: [doubled]}, services: [ping]}
"""
HOMES = {
    "hub": ("oslo1",),
    "spoke-a": ("bodo",),
    "spoke-b": ("bergen",),
    "shared": ("oslo2",),
    "red-a": ("trondheim",),
    "red-b": ("tromso",),
    "blue-a": ("trondheim",),
    "blue-b": ("bergen",),
    "backed": ("trondheim", "bergen"),
    "backed-peer": ("bergen",),
    "doubled": ("trondheim", "bergen"),
    "doubled-peer": ("bergen",),
}
TWINS = {"blue-a": "red-a", "blue-b": "red-b"}  # sites with another's addresses
NAMING = (
    "import socket; s=socket.socket(socket.{family},socket.SOCK_DGRAM); s.bind(('',{port})); print('up',flush=True)\n"
    "while True: _,to=s.recvfrom(100); s.sendto(b'{name}',to)"
)
ASKING = (
    "import socket; s=socket.socket(socket.{family},socket.SOCK_DGRAM); s.settimeout(3)\n"
    "s.sendto(b'?',('{to}',{port})); print(s.recv(100).decode())"
)


def network() -> Network:
    """The small network's routers, with these sites."""
    small = small_plan().network
    pattern = small.sites[0]
    sites = []
    for index, (name, homing) in enumerate(HOMES.items(), start=1):
        number = list(HOMES).index(TWINS.get(name, name)) + 1
        sites.append(
            replace(
                pattern,
                id=name,
                index=index,
                accesses=tuple(replace(pattern.accesses[0], router=router, vlan=100 + index) for router in homing),
                prefix4=IPv4Network((0x0A000000 + (number << 16), 29)),
                prefix6=IPv6Network((0xFD00 << 112 | number << 64, 64)),
            )
        )
    return replace(small, sites=tuple(sites), zones4={}, zones6={}, blocks4={}, blocks6={})


def plan() -> Plan:
    """The policy on it."""
    return compile_policy(read_policy(loads(POLICY.encode(), "shapes.yaml")), network())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerWorld]:
    """A programmed world; tests leave it as they found it."""
    yield from running(tmp_path_factory.mktemp("shapes"), plan())


def address(world: ControllerWorld, name: str, version: int) -> str:
    """A site's own address."""
    found = world.network.site[name]
    return str(found.address4 if version == 4 else found.address6)


def pings(world: ControllerWorld, source: str, target: str, version: int) -> bool:
    """Whether a site's echo requests to another are answered."""
    return world.ping(source, address(world, target, version), "-c 2 -i 0.05 -W 1")


def dropped(world: ControllerWorld, router: str, reason: Drop) -> int:
    """What a router dropped for a reason."""
    return world.counted(router, cookie(Purpose.DROP, reason))


def links_down(world: ControllerWorld) -> set[str]:
    """The links that the paths in use do without."""
    return set(next((event["links_down"] for event in reversed(world.events("paths-switched"))), []))


def test_no_switch_refuses_a_rule(world: ControllerWorld) -> None:
    assert world.events("error") == []


@IP_VERSION
def test_spokes_reach_the_hub_and_not_each_other(world: ControllerWorld, version: int) -> None:
    assert pings(world, "spoke-a", "hub", version) and pings(world, "spoke-b", "hub", version)
    assert pings(world, "hub", "spoke-a", version) and pings(world, "hub", "spoke-b", version)
    before = dropped(world, "bodo", Drop.NO_ROUTE)
    assert not pings(world, "spoke-a", "spoke-b", version)
    wait_for(lambda: dropped(world, "bodo", Drop.NO_ROUTE) >= before + 2, "the drops to be counted")


@IP_VERSION
def test_the_extranet_is_for_those_who_import_it(world: ControllerWorld, version: int) -> None:
    assert pings(world, "hub", "shared", version) and pings(world, "shared", "hub", version)
    before = dropped(world, "oslo2", Drop.NO_ROUTE)
    assert not pings(world, "spoke-a", "shared", version) and not pings(world, "shared", "spoke-a", version)
    wait_for(lambda: dropped(world, "oslo2", Drop.NO_ROUTE) >= before + 2, "the drops to be counted")


@IP_VERSION
def test_the_same_address_is_another_site_in_each_vpn(world: ControllerWorld, version: int) -> None:
    """Also behind one router, and though two sites ask with one address at the same moment."""
    family = "AF_INET" if version == 4 else "AF_INET6"
    assert address(world, "red-b", version) == address(world, "blue-b", version)
    servers = [world.python(NAMING.format(family=family, port=PORT, name=name), name) for name in ("red-b", "blue-b")]
    try:
        for server in servers:
            assert server.stdout is not None and server.stdout.readline() == "up\n"
        asked = ASKING.format(family=family, to=address(world, "red-b", version), port=PORT)
        clients = {name: world.python(asked, name) for name in ("red-a", "blue-a")}
        heard = {name: client.communicate(timeout=30)[0].strip() for name, client in clients.items()}
    finally:
        for server in servers:
            server.kill()
            server.communicate()
    assert heard == {"red-a": "red-b", "blue-a": "blue-b"}


@IP_VERSION
def test_a_backup_line_is_for_when_the_primary_is_gone(world: ControllerWorld, version: int) -> None:
    """Past the router that has the second line to the one that has the first; over the second once that is cut off."""
    to = address(world, "backed", version)
    assert world.hops("backed-peer", to) == {("bergen", "trondheim"), ("trondheim", "bergen")}
    cut = [link.id for link in world.network.links if "trondheim" in (link.a, link.b)]
    for link in cut:
        world.set_link(link, "down")
    world.use_backup("backed")
    wait_for(lambda: links_down(world) == set(cut), "paths without these links")
    wait_for(lambda: world.ping("backed-peer", to), "the backup line")
    assert world.hops("backed-peer", to) == set()
    for link in cut:
        world.set_link(link, "up")
    wait_for(lambda: not links_down(world), "the links to be back")
    world.use_primary("backed")
    both_ways = {("bergen", "trondheim"), ("trondheim", "bergen")}
    wait_for(lambda: world.hops("backed-peer", to) == both_ways, "the primary line")


@IP_VERSION
def test_a_site_with_both_lines_in_use_is_reached_over_the_nearest(world: ControllerWorld, version: int) -> None:
    """Its answers leave by its first line, as ever."""
    assert world.hops("doubled-peer", address(world, "doubled", version)) == {("trondheim", "bergen")}


@IP_VERSION
def test_nobody_sends_with_anothers_address(world: ControllerWorld, version: int) -> None:
    """Not even with one that is good in another VPN on the same router."""
    borrowed, before = address(world, "backed", version), dropped(world, "trondheim", Drop.SPOOFED)
    length, options = (32, "") if version == 4 else (128, "nodad")
    world.sh(f"ip addr add {borrowed}/{length} dev lo {options}", "red-a")
    there = address(world, "red-b", version)
    world.sh(f"ping -n -c 3 -i 0.05 -W 0.2 -I {borrowed} {there}", "red-a", check=False)
    world.sh(f"ip addr del {borrowed}/{length} dev lo", "red-a")
    wait_for(lambda: dropped(world, "trondheim", Drop.SPOOFED) >= before + 3, "the drops to be counted")


@IP_VERSION
def test_what_no_contract_opens_is_dropped_and_counted(world: ControllerWorld, version: int) -> None:
    before = dropped(world, "tromso", Drop.NO_CONTRACT)
    assert not pings(world, "red-b", "red-a", version), "the contract is one way"
    wait_for(lambda: dropped(world, "tromso", Drop.NO_CONTRACT) >= before + 2, "the drops to be counted")
    refusals = set(re.findall(r"cookie=0x6000000000000(\w\w),", world.flows("tromso")))
    assert {f"{reason:02x}" for reason in (Drop.SPOOFED, Drop.NO_ROUTE, Drop.NO_CONTRACT, Drop.FRAGMENT)} <= refusals
