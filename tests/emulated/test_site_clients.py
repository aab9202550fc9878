"""What programs of users meet at the sites of a network that stands: one of every kind, with one access link or two."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from short_run import wait_until_gone
from site_scripts import AGE, ECHO, HOLD
from terminal import REPOSITORY, Terminal

from helsewan.topology.importers import network_from
from helsewan.topology.model import Network, Site

FILE = REPOSITORY / "tests" / "samples" / "three-routers.yaml"
# of every kind, with one access link and with two
SITES = ("h-st-olav", "h-levanger", "gp-1", "ph-1", "mun-1", "dc-midt", "svc-broker")
PEER = "svc-records"
LAN_HOST = "h-levanger.h1"
PORT = 4000
# Longer than an entry counts as reachable (15 to 45 s); CONTRIBUTING.md names the ten minutes of a release.
IDLE_S = float(os.environ.get("HELSEWAN_IDLE_S", "50"))


@pytest.fixture(scope="module")
def network() -> Network:
    return network_from(FILE)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one at which the network stands."""
    terminal = Terminal(tmp_path_factory.mktemp("clients"))
    (terminal.directory / "place").mkdir(mode=0o700)
    up = terminal.run("up", "--from", str(FILE), "--policy", "open", "--hosts-per-hospital", "1", "--detach")
    assert up.returncode == 0, up.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


def at(terminal: Terminal, node: str, *argv: str) -> str:
    """What a command prints at a node; it must succeed."""
    done = terminal.run("exec", node, "--", *argv)
    assert done.returncode == 0, (node, argv, done.stdout, done.stderr)
    return done.stdout.decode()


def python(terminal: Terminal, node: str, script: str, *arguments: str) -> str:
    """What a Python script prints at a node."""
    return at(terminal, node, sys.executable, "-c", script, *arguments)


def addresses(site: Site) -> tuple[str, str]:
    """A site's own addresses."""
    return str(site.address4), str(site.address6)


def test_addresses_of_neighbours_age_and_are_confirmed(terminal: Terminal, network: Network) -> None:
    """As after half a minute of silence, at all sites: the kernel asks the router by unicast, gets an answer, and goes
    on with the primary access link. Connections live on their keep-alive meanwhile."""
    peer = addresses(network.site[PEER])

    def age(node: str) -> str:
        return python(terminal, node, AGE, "wan0", *peer)

    with ExitStack() as ended:
        server = ended.enter_context(terminal.ending("exec", PEER, "--", sys.executable, "-c", ECHO, str(PORT)))
        assert server.stdout is not None and server.stdout.readline() == b"listening\n"
        words = (sys.executable, "-c", HOLD, str(PORT), *peer)
        holders = [ended.enter_context(terminal.ending("exec", site, "--", *words)) for site in (*SITES, LAN_HOST)[:3]]
        for holder in holders:
            assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        with ThreadPoolExecutor(4) as several:
            for site, printed in zip(SITES, several.map(age, SITES), strict=True):
                states = json.loads(printed)
                assert states == {version: ["REACHABLE", "aged", "REACHABLE"] for version in ("4", "6")}, site
        for holder in holders:
            assert b"alive" in holder.communicate(b"\n")[0]
    check_paths(terminal, network)


@pytest.mark.exhaustive
def test_a_network_left_alone_works_on(terminal: Terminal, network: Network) -> None:
    """All that hosts and routers do only after a while, at their own times, and with nobody asking."""
    check_paths(terminal, network)
    time.sleep(IDLE_S)
    check_paths(terminal, network)


def check_paths(terminal: Terminal, network: Network) -> None:
    """From every kind of site, and back, in both IP versions, over the primary access link; from a host on a LAN."""
    peer = addresses(network.site[PEER])
    for site in SITES:
        routes = ping(terminal, site, peer) + at(terminal, site, "sh", "-c", _ROUTES, *peer)
        assert routes.count("dev wan0") == len(peer), routes
    ping(terminal, LAN_HOST, peer[:1])
    ping(terminal, PEER, [address for site in SITES for address in addresses(network.site[site])])


_ROUTES = 'for peer in "$0" "$@"; do ip route get "$peer"; done'


def ping(terminal: Terminal, node: str, peers: Sequence[str], *options: str) -> str:
    """Ping addresses from a node; every one must answer. Returns what the pings print."""
    script = 'for peer in "$@"; do ping $0 -c 1 -W 5 "$peer" || exit; done'
    return at(terminal, node, "sh", "-c", script, " ".join(("-n", *options)), *peers)


# Arguments: interface, address. Sends from a socket bound to the interface, and prints the address it sends from.
BOUND = """
import socket, sys
interface, peer = sys.argv[1:]
bound = socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM)
bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
bound.connect((peer, 9999))
bound.send(b"x")
print(bound.getsockname()[0])
"""


@pytest.mark.parametrize(("site", "interfaces"), [("h-st-olav", ("wan0", "wan1")), ("gp-1", ("wan0",))])
def test_a_program_may_choose_or_bind_an_interface(
    terminal: Terminal, network: Network, site: str, interfaces: tuple[str, ...]
) -> None:
    own, gateways = addresses(network.site[site]), [str(prefix[1]) for prefix in network.site[site].prefixes]
    for interface in interfaces:
        shown = at(terminal, site, "ip", "-o", "address", "show", "dev", interface)
        assert all(f" {address}/" in shown for address in own), shown
        for peer, address in zip(addresses(network.site[PEER]), own, strict=True):
            assert f"dev {interface} src {address}" in _without_protocol(
                at(terminal, site, "ip", "route", "get", peer, "oif", interface)
            )
            assert python(terminal, site, BOUND, interface, peer).split() == [address]
        ping(terminal, site, gateways, "-I", interface)
    ping(terminal, site, addresses(network.site[PEER]), "-I", "wan0")


def _without_protocol(route: str) -> str:
    """A route as ip(8) prints it for IPv4: for IPv6 it names the protocol between interface and source."""
    return route.replace("proto static ", "")


def test_an_address_stays_when_an_access_link_fails_and_returns(terminal: Terminal, network: Network) -> None:
    """IPv6 addresses go with the carrier, and must come back with it: the link-local one, too."""
    site = "dc-midt"
    before = at(terminal, site, "ip", "-o", "address")
    for change in ("--down", "--up"):
        assert terminal.run("link", "set", f"{site}/wan0", change).returncode == 0
    assert sorted(at(terminal, site, "ip", "-o", "address").split()) == sorted(before.split())
    python(terminal, site, AGE, "wan0", *addresses(network.site[PEER]))
    check_paths(terminal, network)
