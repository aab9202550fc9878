"""Frames through routers: the longest ones, those of sites that share a trunk, and both lines of a dual-homed site."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mininet_client import Script
from small_network import DESCRIPTION

# A second site on the trunk of the router in the middle.
BESIDE = "  gp-d: {kind: gp, lines: [{router: middle, rate: 10 Mbit/s, delay: 1 ms}]}\n"
PAYLOAD = {4: 1500 - 28, 6: 1500 - 48}  # of the longest echo request that a site's line takes
COUNT = 20


@pytest.fixture(scope="module")
def do(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    """A script that holds a network."""
    script = Script(tmp_path_factory.mktemp("frames"), DESCRIPTION + BESIDE)
    try:
        yield script
    finally:
        script.process.kill()
        script.process.communicate()


def lost(do: Script, source: str, target: str, version: int, payload: int) -> bool:
    """Whether any of COUNT echo requests of that size, not to be fragmented, is not answered."""
    address = do(f"str(net[{target!r}].site.address{version})")
    options = f"-{version} -n -M do -s {payload} -c {COUNT} -i 0.02 -W 2"
    answer = str(do(f"net[{source!r}].cmd('ping {options} {address}')"))
    return f"{COUNT} received" not in answer


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("source", "target"), [("hospital-a", "hospital-b"), ("hospital-b", "gp-d"), ("gp-d", "gp-c")])
def test_the_longest_packets_pass(do: Script, version: int, source: str, target: str) -> None:
    """Between routers they have labels on top; to a trunk, a tag."""
    lost(do, source, target, version, 8)  # neighbours are found
    assert not lost(do, source, target, version, PAYLOAD[version])
    assert lost(do, source, target, version, PAYLOAD[version] + 1), "its own line takes no more"


def test_sites_on_one_trunk_are_apart(do: Script) -> None:
    """Each frame arrives at the one site it is for."""
    before = {site: _received(do, site) for site in ("gp-c", "gp-d")}
    assert not lost(do, "hospital-a", "gp-d", 4, 700)
    after = {site: _received(do, site) for site in ("gp-c", "gp-d")}
    assert after["gp-d"] - before["gp-d"] >= COUNT
    assert after["gp-c"] - before["gp-c"] < COUNT


@pytest.mark.parametrize("router", ["north", "middle"])
def test_a_dual_homed_site_goes_on_over_its_other_line(do: Script, router: str) -> None:
    do(f"net.configLinkStatus('hospital-a', {router!r}, 'down')")
    do.until("net.ping([a, b], timeout='1') == 0.0")
    assert not lost(do, "hospital-b", "hospital-a", 4, PAYLOAD[4])
    do(f"net.configLinkStatus('hospital-a', {router!r}, 'up')")
    do.until("net.ping([a, b], timeout='1') == 0.0")
    assert not lost(do, "hospital-a", "hospital-b", 6, PAYLOAD[6])


def test_the_machine_drops_nothing(do: Script) -> None:
    """The last test."""
    assert do("dict(emulation.testbed.machine_drops())") == {}


def _received(do: Script, site: str) -> int:
    """Frames that a site's line has received so far."""
    return int(str(do(f"net[{site!r}].cmd('grep wan0: /proc/net/dev')")).split()[2])
