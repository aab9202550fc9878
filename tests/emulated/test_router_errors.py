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

from controller.pipeline import Drop, Purpose, cookie
from controller.punt import PUNT_METER
from topology.model import router_address4

pytestmark = pytest.mark.emulated

TRACE = Path(__file__).with_name("udp_trace.py")
VOICE = 20000
SHORT, SHORT_MTU = "bodo-gp", 1400  # a site whose line takes less than the others
HEADERS = 28  # IP and UDP
FLOOD = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind((sys.argv[1], 0))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
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
        wait_for(lambda: trace(world, "unn", SHORT, VOICE, (1, 1)) != [None], "an answer")
        yield world
    finally:
        world.close()


def trace(
    world: ControllerWorld, source: str, target: str, port: int, ttls: tuple[int, int], size: int = 32
) -> list[Any]:
    """The ICMP errors on datagrams of ``size`` bytes from one site to another, by TTL."""
    site, address = world.network.site[source].address4, world.network.site[target].address4
    heard = world.sh(f"{sys.executable} {TRACE} {site} {address} {port} {ttls[0]} {ttls[1]} {size}", source)
    return [json.loads(line) for line in heard.splitlines()]


def times_exceeded(world: ControllerWorld, site: str) -> int:
    """How many of these errors a site's kernel has been told."""
    names, values = (line.split() for line in world.sh("grep ^Icmp: /proc/net/snmp", site).splitlines())
    return int(values[names.index("InTimeExcds")])


def address(world: ControllerWorld, router: str) -> str:
    """The address a router speaks from."""
    return str(router_address4(world.network.router[router]))


@pytest.mark.parametrize(
    ("source", "target", "way"),
    [
        ("bodo-gp", "unn", ["bodo", "tromso"]),
        ("st-olav", "bergen-gp", ["trondheim", "bergen"]),
        ("st-olav", "trondheim-gp", ["trondheim"]),  # between two lines of one router
    ],
)
def test_every_router_on_the_way_answers_for_itself(
    world: ControllerWorld, source: str, target: str, way: list[str]
) -> None:
    heard = trace(world, source, target, VOICE, (1, len(way) + 1))
    assert [each and each[:3] for each in heard] == [*([11, 0, address(world, router)] for router in way), None]


def test_trace_shows_the_way_round_a_failure(world: ControllerWorld) -> None:
    world.set_link("bergen-trondheim", "down")
    world.await_event("paths-switched")
    heard = trace(world, "st-olav", "bergen-gp", VOICE, (1, 5))
    world.set_link("bergen-trondheim", "up")
    world.await_event("paths-switched", 2)
    way = ["trondheim", "oslo2", "oslo1", "bergen"]
    assert [each and each[:3] for each in heard] == [*([11, 0, address(world, router)] for router in way), None]


def test_flood_of_expiring_packets_is_held_to_the_meter(world: ControllerWorld) -> None:
    """A thousand a second for two seconds: a burst and what the rate allows go up, and the network is still looked
    after."""
    before = times_exceeded(world, "bodo-gp")
    site, target = world.network.site["bodo-gp"].address4, world.network.site["unn"].address4
    began = time.monotonic()
    world.sh(f"{sys.executable} -c '{FLOOD}' {site} {target} {VOICE}", "bodo-gp")
    heard = times_exceeded(world, "bodo-gp") - before
    most = PUNT_METER.burst_packets + PUNT_METER.rate_pps * (time.monotonic() - began + 1)
    assert PUNT_METER.burst_packets / 2 <= heard <= most
    switched = len(world.events("paths-switched"))
    world.set_link("bodo-tromso", "down")
    world.await_event("paths-switched", switched + 1)
    assert world.ping("bodo-gp", str(world.network.site["unn"].address4))
    world.set_link("bodo-tromso", "up")
    world.await_event("paths-switched", switched + 2)


def test_unknown_destination_is_told_forbidden_is_not(world: ControllerWorld) -> None:
    (unknown,) = trace(world, "bodo-gp", "st-olav", VOICE, (64, 64))  # of another region, whose routes nord lacks
    assert unknown[:3] == [3, 0, address(world, "bodo")]
    refused = cookie(Purpose.DROP, Drop.NO_CONTRACT)
    before = world.counted("bodo", refused)
    assert trace(world, "bodo-gp", "unn", 9, (64, 64)) == [None]
    assert world.counted("bodo", refused) == before + 1


def test_too_long_for_the_last_line_is_told_what_it_takes(world: ControllerWorld) -> None:
    longest = SHORT_MTU - HEADERS
    assert trace(world, "unn", SHORT, VOICE, (64, 64), longest) == [None]
    (told,) = trace(world, "unn", SHORT, VOICE, (64, 64), longest + 1)
    assert told[:4] == [3, 4, address(world, "bodo"), SHORT_MTU]
    assert trace(world, "unn", SHORT, VOICE, (1, 1), 1472)[0][:3] == [11, 0, address(world, "tromso")]


def test_tcp_finds_the_path_mtu(world: ControllerWorld) -> None:
    """The client asks for full segments, which its line does not take."""
    serve = (
        "import socket; s=socket.create_server(('',443)); print('up',flush=True)\n"
        "c=s.accept()[0]; c.sendall(bytes(200000)); c.close()"
    )
    client, server = world.network.site[SHORT], world.network.site["broker"]
    with world.python(serve, server.id) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        fetch = (
            f"import socket; s=socket.create_connection(('{server.address4}',443),9); n=0\n"
            "while got:=len(s.recv(65536)): n+=got\nprint(n)"
        )
        assert world.sh(f'{sys.executable} -c "{fetch}"', client.id) == "200000\n"
    assert f"mtu {SHORT_MTU}" in world.sh(f"ip route get {client.address4}", server.id)


def test_routers_answer_without_a_controller(world: ControllerWorld) -> None:
    """The last test: the world has no controller after it."""
    world.stop_controller()
    (heard,) = trace(world, "unn", SHORT, VOICE, (1, 1))
    assert heard[:3] == [11, 0, address(world, "tromso")]
