"""IPv6 against real switches and packets: the gateway, the contracts, and what must not come through."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from controller_world import ControllerWorld, running
from waiting import wait_for

from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie

pytestmark = pytest.mark.emulated

ECHO = (
    "import socket; s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.bind(('::',{port}))\n"
    "s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_RECVTCLASS,1); print('up',flush=True)\n"
    "while True: data,about,_,to=s.recvmsg(2000,100); s.sendto(about[0][2][:1],to)"
)
ASK = (
    "import socket; s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.settimeout({wait})\n"
    "s.sendto(b'?',('{to}',{port})); print(s.recv(10)[0]>>2)"
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerWorld]:
    yield from running(tmp_path_factory.mktemp("shared"))


def address(world: ControllerWorld, site: str) -> str:
    return str(world.network.site[site].address6)


def dropped(world: ControllerWorld, router: str, reason: Drop) -> int:
    return world.counted(router, cookie(Purpose.DROP, reason))


def test_no_switch_refuses_a_rule(shared: ControllerWorld) -> None:
    assert shared.events("error") == []


def test_gateway_is_found_and_stays_reachable(shared: ControllerWorld) -> None:
    """Found by a solicitation to all, confirmed by one to itself: only an answer marked as solicited confirms."""
    shared.sh("ip -6 neigh flush dev s1-0", "st-olav")
    assert shared.ping("st-olav", "fd00:0:0:1::1")
    assert "02:70:00:00:00:04 router REACHABLE" in shared.sh("ip -6 neigh show fe80::1", "st-olav")
    shared.sh("ip -6 neigh change fe80::1 lladdr 02:70:00:00:00:04 dev s1-0 nud probe", "st-olav")
    wait_for(lambda: "REACHABLE" in shared.sh("ip -6 neigh show fe80::1", "st-olav"), "the answer to a probe")


def test_gateway_of_another_site_stays_silent(shared: ControllerWorld) -> None:
    assert not shared.ping("st-olav", "fd00:0:0:6::1", "-c 2 -i 0.05 -W 0.3")


@pytest.mark.parametrize(
    ("source", "destination", "allowed"),
    [
        ("st-olav", "broker", True),  # across the core
        ("trondheim-gp", "st-olav", True),  # between two lines of one router
        ("st-olav", "trondheim-gp", False),  # no contract that way, though replies to the line above do pass
        ("bodo-gp", "unn", True),
        ("bodo-gp", "st-olav", False),  # another region's VPN
        ("bergen-gp", "unn", False),
    ],
)
def test_ping_follows_the_contracts(shared: ControllerWorld, source: str, destination: str, allowed: bool) -> None:
    assert shared.ping(source, address(shared, destination), "-c 2 -i 0.05 -W 0.5") is allowed


def test_hop_limit_counts_routers_as_ipv4s_ttl_does(shared: ControllerWorld) -> None:
    broker = shared.network.site["broker"]
    heard = [shared.sh(f"ping -n -c 1 -W 2 {to}", "st-olav") for to in (broker.address4, broker.address6)]
    first, second = (re.findall(r"ttl=(\d+)", each) for each in heard)
    assert first == second == ["61"]


def test_datagram_is_marked_and_answered(shared: ControllerWorld) -> None:
    with shared.python(ECHO.format(port=20000), "unn") as server:
        assert server.stdout is not None and server.stdout.readline() == "up\n"
        asked = ASK.format(to=address(shared, "unn"), port=20000, wait=2)
        assert shared.sh(f'python3 -c "{asked}"', "bodo-gp") == "46\n"
        server.kill()


def test_datagram_into_another_vpn_has_no_route(shared: ControllerWorld) -> None:
    before = dropped(shared, "bodo", Drop.NO_ROUTE)
    with shared.python(ECHO.format(port=20000), "st-olav") as server:
        assert server.stdout is not None and server.stdout.readline() == "up\n"
        asked = ASK.format(to=address(shared, "st-olav"), port=20000, wait=0.3)
        assert "timed out" in shared.sh(f'python3 -c "{asked}"', "bodo-gp", check=False)
        server.kill()
    wait_for(lambda: dropped(shared, "bodo", Drop.NO_ROUTE) > before, "the drop to be counted")


def test_server_answers_but_cannot_open(shared: ControllerWorld) -> None:
    listen = (
        "import socket; s=socket.create_server(('',{port}),family=socket.AF_INET6)\n"
        "print('up',flush=True); c=s.accept()[0]; c.sendall(b'hi')"
    )
    with shared.python(listen.format(port=443), "broker") as server:
        assert server.stdout is not None and server.stdout.readline() == "up\n"
        connect = f"import socket; print(socket.create_connection(('{address(shared, 'broker')}',443),3).recv(9))"
        assert "b'hi'" in shared.sh(f'python3 -c "{connect}"', "trondheim-gp")
    before = dropped(shared, "oslo1", Drop.NO_CONTRACT)
    with shared.python(listen.format(port=5000), "trondheim-gp") as client:
        assert client.stdout is not None and client.stdout.readline() == "up\n"
        there = f"('{address(shared, 'trondheim-gp')}',5000),0.5,('{address(shared, 'broker')}',8080)"
        opening = f"import socket; socket.create_connection({there})"
        assert "imed out" in shared.sh(f'python3 -c "{opening}"', "broker", check=False)
        client.kill()
    wait_for(lambda: dropped(shared, "oslo1", Drop.NO_CONTRACT) > before, "the drops to be counted")


def test_spoofed_source_is_dropped_and_counted(shared: ControllerWorld) -> None:
    before, borrowed = dropped(shared, "bodo", Drop.SPOOFED), address(shared, "unn")
    shared.sh(f"ip addr add {borrowed}/128 dev lo nodad", "bodo-gp")
    shared.sh(f"ping -n -c 3 -i 0.05 -W 0.2 -I {borrowed} {address(shared, 'broker')}", "bodo-gp", check=False)
    shared.sh(f"ip addr del {borrowed}/128 dev lo", "bodo-gp")
    wait_for(lambda: dropped(shared, "bodo", Drop.SPOOFED) >= before + 3, "the drops to be counted")


def test_link_local_packets_stay_on_their_line(shared: ControllerWorld) -> None:
    before = dropped(shared, "bodo", Drop.LINK_LOCAL)
    for address_ in ("ff02::1", "fe80::3"):
        shared.sh(f"ping -n -c 2 -i 0.05 -W 0.2 {address_}%s2-0", "bodo-gp", check=False)
    shared.sh(f"ping -n -c 2 -i 0.05 -W 0.2 -I fe80::2%s2-0 {address(shared, 'unn')}", "bodo-gp", check=False)
    wait_for(lambda: dropped(shared, "bodo", Drop.LINK_LOCAL) >= before + 4, "the drops to be counted")


def test_fragments_are_dropped_and_counted(shared: ControllerWorld) -> None:
    """The first of the three that each of two echoes makes, too."""
    before = dropped(shared, "trondheim", Drop.FRAGMENT)
    assert not shared.ping("st-olav", address(shared, "broker"), "-c 2 -i 0.05 -W 0.3 -s 3000")
    wait_for(lambda: dropped(shared, "trondheim", Drop.FRAGMENT) >= before + 6, "the drops to be counted")


def test_core_carries_the_vpns_label_of_ipv6(shared: ControllerWorld) -> None:
    link = shared.network.link["oslo2-trondheim"]
    with shared.popen(f"tcpdump -c 1 -e -n -v -l -i {shared.interface(link.b, link.id)} mpls") as dump:
        assert dump.stdout is not None
        wait_for(lambda: "listening" in dump.stdout.readline(), "tcpdump")
        shared.ping("st-olav", address(shared, "broker"))
        seen = dump.stdout.read()
    assert re.search(r"\(label 203, tc 0, \[S\], ttl 6\d\)", seen), seen
    assert "fd00:0:0:1::2 > fd00:0:0:4::2" in seen, seen
