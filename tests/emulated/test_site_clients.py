"""What programs of users meet at the sites of a network that stands: one of every kind, with one access link or two."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from short_run import wait_until_gone
from site_scripts import AGE, ECHO, HOLD
from terminal import DEADLINE_S, REPOSITORY, Terminal

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


# Prints every path below the directories named that a program at a site can reach.
_LIST = 'for place in "$@"; do find "$place" -mindepth 1; done'


def test_each_site_has_a_run_directory_of_its_own(terminal: Terminal) -> None:
    """Programs of one site meet there, those of two do not; so it is for a host on a LAN."""
    nodes = ("h-st-olav", "h-levanger", LAN_HOST)
    for node in nodes:
        at(
            terminal,
            node,
            "sh",
            "-c",
            "mkdir -p /run/wireguard && : > /run/wireguard/wg0.sock && echo $0 > /run/me",
            node,
        )
    for node in nodes:
        assert at(terminal, node, "cat", "/run/me") == f"{node}\n"
    listed = at(terminal, "gp-1", "sh", "-c", _LIST, "list", "/run", "/var/run/")
    assert set(listed.split()) == {"/run/lock", "/var/run/lock"}


def test_no_secret_is_visible_at_a_site(terminal: Terminal) -> None:
    """Neither in /run nor where the lab has its socket and token; nothing is mounted on the machine or in the lab."""
    place = terminal.env["HELSEWAN_RUNTIME_DIR"]
    assert list(Path(place).iterdir())
    assert at(terminal, "gp-1", "find", place, "-mindepth", "1") == ""
    assert not at(
        terminal, "gp-1", "find", "/run", "-name", "*.key", "-o", "-name", "*.sock", "-o", "-name", "*.pickle"
    )
    assert "/run/helsewan/r1/br0.mgmt" in at(terminal, "r1", "find", "/run/helsewan")
    shell = terminal.run("cli", stdin=b"gp-1 ls /run\n")
    assert (shell.stdout + shell.stderr).split() == [b"lock"]


def test_a_command_begins_in_the_users_directory(terminal: Terminal) -> None:
    assert at(terminal, "gp-1", "pwd") == f"{terminal.directory}\n"


@pytest.mark.parametrize(
    ("site", "link", "mtu", "told"),
    [
        ("gp-2", "gp-2/wan0", 1300, 1300),
        ("gp-1", "r?-r?", 1320, 1320 - 8),  # two labels
    ],
)
def test_a_smaller_mtu_is_told_to_senders(
    terminal: Terminal, network: Network, site: str, link: str, mtu: int, told: int
) -> None:
    """Connections that are open when a link's MTU changes go on, both ways, in either IP version."""
    peer, own = addresses(network.site[PEER]), addresses(network.site[site])
    with ExitStack() as ended:
        ended.callback(terminal.run, "link", "set", link, "--reset")
        server = ended.enter_context(terminal.ending("exec", PEER, "--", sys.executable, "-c", ECHO, str(PORT + 1)))
        assert server.stdout is not None and server.stdout.readline() == b"listening\n"
        words = (sys.executable, "-c", HOLD, str(PORT + 1), *peer)
        holder = ended.enter_context(terminal.ending("exec", site, "--", *words))
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        assert terminal.run("link", "set", link, "--mtu", f"{mtu}B").returncode == 0
        assert b"alive" in holder.communicate(b"\n", DEADLINE_S)[0]
        for address in own:
            said = terminal.run(
                "exec", PEER, "--", "ping", "-n", "-M", "do", "-c", "1", "-W", "5", "-s", "1400", address
            )
            assert f"mtu {told}" in at(terminal, PEER, "ip", "route", "get", address), said.stdout
    shown = at(terminal, site, "ip", "link", "show", "dev", "wan0")
    assert "mtu 1500" in shown


def test_an_interface_below_the_least_mtu_of_ipv6_gets_it_back(terminal: Terminal, network: Network) -> None:
    site = "svc-broker"
    before = at(terminal, site, "ip", "-6", "-o", "address", "show", "dev", "wan0")
    for mtu, expected in (("1000B", ""), ("none", before)):
        assert terminal.run("link", "set", f"{site}/wan0", "--mtu", mtu).returncode == 0
        shown = at(terminal, site, "ip", "-6", "-o", "address", "show", "dev", "wan0")
        assert sorted(shown.replace(" tentative", "").split()) == sorted(expected.split())
    check_paths(terminal, network)


# Arguments: addresses. Sends a datagram to a closed port of each, and prints what the kernel tells of it.
KNOCK = """
import socket, sys
for peer in sys.argv[1:]:
    knocking = socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM)
    knocking.settimeout(20)
    knocking.connect((peer, 4999))
    knocking.send(b"x")
    try:
        knocking.recv(1)
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("node", [PEER, "h-st-olav"])
def test_a_closed_port_answers(terminal: Terminal, network: Network, node: str) -> None:
    """Across the core, and between two access links of one router; traces over UDP end with this answer."""
    peers = addresses(network.site["gp-1"])
    assert python(terminal, node, KNOCK, *peers).split() == ["ConnectionRefusedError"] * len(peers)
