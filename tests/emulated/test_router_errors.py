"""What routers tell senders of packets they cannot pass on: real switches, real sockets."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from controller_world import ControllerWorld
from waiting import wait_for

from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie
from helsewan.controller.rules.punt import PUNT_METER
from helsewan.topology.model import SITE_MTU, router_address4, router_address6

pytestmark = pytest.mark.emulated

TRACE = Path(__file__).parents[1] / "helpers" / "udp_trace.py"
VOICE = 20000
SHORT, SHORT_MTU = "bodo-gp", 1400  # a site whose line takes less than the others
HEADERS = {4: 28, 6: 48}  # IP and UDP
PORT_CLOSED = {4: (3, 3), 6: (1, 4)}  # the type and code of a site's answer for a UDP port that nobody listens on
UNREACHABLE, EXPIRED, TOO_LONG = {4: (3, 0), 6: (1, 0)}, {4: (11, 0), 6: (3, 0)}, {4: (3, 4), 6: (2, 0)}
NO_PATH = {4: (3, 1), 6: (1, 3)}
IP_VERSION = pytest.mark.parametrize("version", [4, 6])
FLOOD = """
import socket, sys, time
six = ":" in sys.argv[1]
sender = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
sender.bind((sys.argv[1], 0))
sender.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL)), 1)
began = time.monotonic()
for number in range(2000):
    time.sleep(max(0, began + number / 1000 - time.monotonic()))
    sender.sendto(bytes(32), (sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerWorld]:
    """A programmed world; tests leave it as they found it."""
    world = ControllerWorld(tmp_path_factory.mktemp("errors"))
    try:
        world.start_controller()
        world.await_event("listening")
        world.build()
        world.start_slow_path()
        world.await_event("all-programmed")
        wait_for(lambda: trace(world, 4, "unn", SHORT, VOICE, (1, 1)) != [None], "an answer")
        yield world
    finally:
        world.close()


def trace(
    world: ControllerWorld, version: int, source: str, target: str, port: int, ttls: tuple[int, int], size: int = 32
) -> list[Any]:
    """The ICMP errors on datagrams of ``size`` bytes from one site to another, by TTL."""
    ends = " ".join(site_address(world, site, version) for site in (source, target))
    heard = world.sh(f"{sys.executable} {TRACE} {ends} {port} {ttls[0]} {ttls[1]} {size}", source)
    return [json.loads(line) for line in heard.splitlines()]


def site_address(world: ControllerWorld, name: str, version: int) -> str:
    """A site's own address."""
    site = world.network.site[name]
    return str(site.address4 if version == 4 else site.address6)


def from_router(world: ControllerWorld, router: str, error: dict[int, tuple[int, int]], version: int) -> list[Any]:
    """An error as a router sends it: type, code, and the address it speaks from."""
    about = world.network.router[router]
    return [*error[version], str(router_address4(about) if version == 4 else router_address6(about))]


def times_exceeded(world: ControllerWorld, site: str, version: int) -> int:
    """How many of these errors a site's kernel has been told."""
    if version == 6:
        return int(world.sh("grep ^Icmp6InTimeExcds /proc/net/snmp6", site).split()[1])
    names, values = (line.split() for line in world.sh("grep ^Icmp: /proc/net/snmp", site).splitlines())
    return int(values[names.index("InTimeExcds")])


@IP_VERSION
@pytest.mark.parametrize(
    ("source", "target", "way"),
    [
        ("bodo-gp", "unn", ["bodo", "tromso"]),
        ("st-olav", "bergen-gp", ["trondheim", "bergen"]),
        ("st-olav", "trondheim-gp", ["trondheim"]),  # between two lines of one router
    ],
)
def test_every_router_on_the_way_answers_for_itself(
    world: ControllerWorld, source: str, target: str, way: list[str], version: int
) -> None:
    heard = trace(world, version, source, target, VOICE, (1, len(way) + 1))
    assert [each and each[:3] for each in heard] == [
        *(from_router(world, router, EXPIRED, version) for router in way),
        [*PORT_CLOSED[version], site_address(world, target, version)],
    ]


def test_trace_shows_the_way_round_a_failure(world: ControllerWorld) -> None:
    switched = len(world.events("paths-switched"))
    world.set_link("bergen-trondheim", "down")
    world.await_event("paths-switched", switched + 1)
    heard = {version: trace(world, version, "st-olav", "bergen-gp", VOICE, (1, 5)) for version in (4, 6)}
    world.set_link("bergen-trondheim", "up")
    world.await_event("paths-switched", switched + 2)
    way = ["trondheim", "oslo2", "oslo1", "bergen"]
    for version, errors in heard.items():
        told = [each and each[:3] for each in errors]
        closed = [*PORT_CLOSED[version], site_address(world, "bergen-gp", version)]
        assert told == [*(from_router(world, router, EXPIRED, version) for router in way), closed]


def test_sender_is_told_where_nothing_leads_now(world: ControllerWorld) -> None:
    """By its own router: the north is cut off."""
    cut, switched = ("trondheim-bodo", "tromso-oslo2"), len(world.events("paths-switched"))
    for link in cut:
        world.set_link(link, "down")
    wait_for(lambda: set(cut) <= set(world.events("paths-switched")[-1]["links_down"]), "the north to be given up")
    pings = {version: world.sh(f"ping -n -c 2 -i 0.3 -W 1 {site_address(world, 'broker', version)}", "unn", check=False)
             for version in (4, 6)}  # fmt: skip
    for link in cut:
        world.set_link(link, "up")
    wait_for(lambda: not world.events("paths-switched")[-1]["links_down"], "the north to be back")
    assert len(world.events("paths-switched")) > switched
    for version, heard in pings.items():
        _, _, router = from_router(world, "tromso", NO_PATH, version)
        assert f"From {router} icmp_seq=1 Destination" in heard, heard
        assert ("Host Unreachable" if version == 4 else "Address unreachable") in heard, heard


@IP_VERSION
def test_flood_of_expiring_packets_is_held_to_the_meter(world: ControllerWorld, version: int) -> None:
    """A thousand a second for two seconds: a burst and what the rate allows go up, and the network is still looked
    after."""
    before = times_exceeded(world, "bodo-gp", version)
    site, target = (site_address(world, name, version) for name in ("bodo-gp", "unn"))
    began = time.monotonic()
    world.sh(f"{sys.executable} -c '{FLOOD}' {site} {target} {VOICE}", "bodo-gp")
    heard = times_exceeded(world, "bodo-gp", version) - before
    most = PUNT_METER.burst_packets + PUNT_METER.rate_pps * (time.monotonic() - began + 1)
    assert PUNT_METER.burst_packets / 2 <= heard <= most
    switched = len(world.events("paths-switched"))
    world.set_link("bodo-tromso", "down")
    world.await_event("paths-switched", switched + 1)
    assert world.ping("bodo-gp", target)
    world.set_link("bodo-tromso", "up")
    world.await_event("paths-switched", switched + 2)


@IP_VERSION
def test_unknown_destination_is_told_forbidden_is_not(world: ControllerWorld, version: int) -> None:
    (unknown,) = trace(world, version, "bodo-gp", "st-olav", VOICE, (64, 64))  # of a region whose routes nord lacks
    assert unknown[:3] == from_router(world, "bodo", UNREACHABLE, version)
    refused = cookie(Purpose.DROP, Drop.NO_CONTRACT)
    before = world.counted("bodo", refused)
    assert trace(world, version, "bodo-gp", "unn", 9, (64, 64)) == [None]
    assert world.counted("bodo", refused) == before + 1


@IP_VERSION
def test_too_long_for_the_last_line_is_told_what_it_takes(world: ControllerWorld, version: int) -> None:
    longest, most = SHORT_MTU - HEADERS[version], SITE_MTU - HEADERS[version]
    (arrived,) = trace(world, version, "unn", SHORT, VOICE, (64, 64), longest)
    assert arrived[:3] == [*PORT_CLOSED[version], site_address(world, SHORT, version)]
    (told,) = trace(world, version, "unn", SHORT, VOICE, (64, 64), longest + 1)
    assert told[:4] == [*from_router(world, "bodo", TOO_LONG, version), SHORT_MTU]
    (expired,) = trace(world, version, "unn", SHORT, VOICE, (1, 1), most)
    assert expired[:3] == from_router(world, "tromso", EXPIRED, version)


@IP_VERSION
def test_tcp_finds_the_path_mtu(world: ControllerWorld, version: int) -> None:
    """The client asks for full segments, which its line does not take."""
    serve = (
        "import socket; s=socket.create_server(('',443),family=socket.{family}); print('up',flush=True)\n"
        "c=s.accept()[0]; c.sendall(bytes(200000)); c.close()"
    )
    client, server = (site_address(world, name, version) for name in (SHORT, "broker"))
    with world.python(serve.format(family="AF_INET" if version == 4 else "AF_INET6"), "broker") as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        fetch = (
            f"import socket; s=socket.create_connection(('{server}',443),9); n=0\n"
            "while got:=len(s.recv(65536)): n+=got\nprint(n)"
        )
        assert world.sh(f'{sys.executable} -c "{fetch}"', SHORT) == "200000\n"
    assert f"mtu {SHORT_MTU}" in world.sh(f"ip route get {client}", "broker")


def test_routers_answer_without_a_controller(world: ControllerWorld) -> None:
    """The last test: the world has no controller after it."""
    world.stop_controller()
    for version in (4, 6):
        (heard,) = trace(world, version, "unn", SHORT, VOICE, (1, 1))
        assert heard[:3] == from_router(world, "tromso", EXPIRED, version)
