"""A network from a file under the open policy, with real packets: ping, TCP and marked UDP between sites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from controller_world import ControllerWorld

from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.importers import network_from

SAMPLES = Path(__file__).parents[1] / "samples" / "topologies"
LISTEN = """
import socket
heard = socket.create_server(("", {port}))
print("listening")
peer, _ = heard.accept()
print(peer.recv(100).decode())
peer.sendall(b"and back")
"""
CALL = """
import socket
with socket.create_connection(("{address}", {port}), 10) as line:
    line.sendall(b"there")
    print(line.recv(100).decode())
"""
HEAR = """
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
line.bind(("", {port}))
print("listening")
_, about, _, _ = line.recvmsg(100, 100)
print("tos", about[0][2][0])
"""
TELL = """
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, {tos})
line.sendto(b"x", ("{address}", {port}))
"""


RAW_HEAR = """
import socket
raw = socket.socket(socket.{family}, socket.SOCK_RAW, {protocol})
print("listening")
while b"over any protocol" not in raw.recv(200):
    pass
print("there")
"""
RAW_TELL = """
import socket
raw = socket.socket(socket.{family}, socket.SOCK_RAW, {protocol})
raw.sendto(b"over any protocol", ("{address}", 0))
"""
CLOSED = """
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.settimeout(10)
line.connect(("{address}", 4711))
line.send(b"x")
try:
    line.recv(10)
except ConnectionRefusedError:
    print("refused")
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerWorld]:
    """The three towns of the documentation, under the open policy."""
    network = network_from(SAMPLES / "three-towns.yaml")
    world = ControllerWorld(tmp_path_factory.mktemp("open"), compile_policy(load_policy(library_path("open")), network))
    try:
        world.start_controller()
        world.await_event("listening")
        world.build()
        world.await_event("all-programmed")
        yield world
    finally:
        world.close()


def ends(world: ControllerWorld) -> tuple[str, str, str]:
    """Two sites and the second one's address."""
    return "gp-lake", "hospital-west", str(world.network.site["hospital-west"].address4)


def test_every_site_pings_every_other(world: ControllerWorld) -> None:
    assert world.events("error") == []
    for source, destination in permutations(world.network.site, 2):
        assert world.ping(source, str(world.network.site[destination].address4)), (source, destination)


@pytest.mark.parametrize("port", [22, 5201, 61_000])
def test_any_tcp_port_is_open(world: ControllerWorld, port: int) -> None:
    client, server, address = ends(world)
    listening = world.python(LISTEN.format(port=port), server)
    assert listening.stdout is not None and listening.stdout.readline() == "listening\n"
    calling = world.python(CALL.format(address=address, port=port), client)
    assert calling.communicate()[0] == "and back\n"
    assert listening.communicate()[0] == "there\n"


@pytest.mark.parametrize(("sent", "heard"), [(46 << 2, 46 << 2), (18 << 2, 26 << 2), (48 << 2, 0), (0, 0)])
def test_a_marked_datagram_keeps_its_class(world: ControllerWorld, sent: int, heard: int) -> None:
    """EF stays EF, AF21 becomes the data class's AF31, and CS6 is nobody's to send."""
    client, server, address = ends(world)
    listening = world.python(HEAR.format(port=5001), server)
    assert listening.stdout is not None and listening.stdout.readline() == "listening\n"
    world.python(TELL.format(address=address, port=5001, tos=sent), client).wait()
    found = re.fullmatch(r"tos (\d+)\n", listening.communicate()[0])
    assert found and int(found[1]) == heard


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
@pytest.mark.parametrize("protocol", [47, 50, 132, 253])  # GRE, ESP, SCTP, one for experiments
def test_any_protocol_passes(world: ControllerWorld, protocol: int, family: str) -> None:
    client, server, address = ends(world)
    if family == "AF_INET6":
        address = str(world.network.site[server].address6)
    hearing = world.python(RAW_HEAR.format(protocol=protocol, family=family), server)
    assert hearing.stdout is not None and hearing.stdout.readline() == "listening\n"
    world.python(RAW_TELL.format(address=address, protocol=protocol, family=family), client).communicate()
    assert hearing.communicate(timeout=30)[0] == "there\n"


def test_a_closed_port_is_refused(world: ControllerWorld) -> None:
    """The port-unreachable of ICMP is unicast, and passes too."""
    client, _, address = ends(world)
    assert world.python(CLOSED.format(address=address), client).communicate()[0] == "refused\n"
