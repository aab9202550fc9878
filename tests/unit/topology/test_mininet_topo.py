"""The national network as stock Mininet gets it: ``mn --custom topology/mininet_build.py --topo helsewan,sites=N``."""

import inspect
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from mininet.link import Intf, TCIntf
from mininet.util import buildTopo

from helsewan.topology.mininet_build import NationalTopo
from helsewan.topology.model import Network
from helsewan.topology.national.generator import national_network

SITES, SEED = 100, 7
IFNAMSIZ = 16  # linux/if.h: an interface's name, with the zero that ends it
PATH = Path(__file__).parents[3] / "topology/mininet_build.py"


@pytest.fixture(scope="module")
def network() -> Network:
    return national_network(sites=SITES, seed=SEED)


@pytest.fixture(scope="module")
def topo() -> NationalTopo:
    """As mn makes it: the file run by itself, the arguments from the command line."""
    names: dict[str, object] = {}
    exec(compile(PATH.read_text(encoding="utf-8"), str(PATH), "exec"), names)  # noqa: S102
    built: NationalTopo = buildTopo(names["topos"], f"helsewan,sites={SITES},seed={SEED}")
    return built


def test_every_router_is_a_switch_with_its_datapath_id(topo: NationalTopo, network: Network) -> None:
    found = {name: int(topo.nodeInfo(name)["dpid"], 16) for name in topo.switches()}
    assert found == {f"s{router.index}": router.index for router in network.routers}


def test_every_site_is_a_host_with_its_addresses(topo: NationalTopo, network: Network) -> None:
    found = {name: topo.nodeInfo(name) for name in topo.hosts()}
    assert {name: IPv4Interface(info["ip"]).ip for name, info in found.items()} == {
        f"h{site.index}": site.address4 for site in network.sites
    }
    assert {name: info["mac"] for name, info in found.items()} == {f"h{site.index}": site.mac for site in network.sites}
    assert len({IPv4Interface(info["ip"]).network for info in found.values()}) == 1  # hosts without a router


def test_every_fibre_and_line_is_a_link_between_the_right_nodes(topo: NationalTopo, network: Network) -> None:
    index = {router.id: router.index for router in network.routers}
    fibres = [{f"s{index[fibre.a]}", f"s{index[fibre.b]}"} for fibre in network.links]
    lines = [{f"h{site.index}", f"s{index[line.router]}"} for site in network.sites for line in site.accesses]
    found = [{info["node1"], info["node2"]} for _, _, info in topo.links(withInfo=True)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, fibres + lines))


def test_no_two_links_share_a_port_and_interface_names_fit(topo: NationalTopo) -> None:
    ends = [(info[f"node{end}"], info[f"port{end}"]) for _, _, info in topo.links(withInfo=True) for end in (1, 2)]
    assert len(set(ends)) == len(ends)
    assert all(len(f"{node}-eth{port}") < IFNAMSIZ for node, port in ends)
    assert all(port > 0 for node, port in ends if node in topo.switches())  # Open vSwitch numbers from 1


def test_a_sites_primary_line_is_its_hosts_first(topo: NationalTopo, network: Network) -> None:
    first = {info["node1"]: info["node2"] for _, _, info in topo.links(withInfo=True) if info["port1"] == 0}
    routers = network.router
    assert first == {f"h{site.index}": f"s{routers[site.homing[0]].index}" for site in network.sites}


def test_links_carry_what_mininets_tc_link_takes_and_nothing_else(topo: NationalTopo, network: Network) -> None:
    known = set(inspect.signature(TCIntf.config).parameters) | set(inspect.signature(Intf.config).parameters)
    shaped = []
    for _, _, info in topo.links(withInfo=True):
        options = {key: value for key, value in info.items() if key not in ("node1", "node2", "port1", "port2")}
        assert options.keys() <= known
        assert 0 <= options.get("bw", 0) <= TCIntf.bwParamMax
        shaped += [options["bw"]] if "bw" in options else []
    rates_bps = [line.rate_bps for line in network.links] + [
        a.rate_bps for site in network.sites for a in site.accesses
    ]
    assert sorted(shaped) == sorted(rate_bps / 1e6 for rate_bps in rates_bps if rate_bps <= 1_000_000_000)
    assert min(shaped) < 1000 and len(shaped) < len(rates_bps)  # both kinds occur


def test_delays_are_the_models(topo: NationalTopo, network: Network) -> None:
    delays_us = [line.delay_us for line in network.links] + [
        a.delay_us for site in network.sites for a in site.accesses
    ]
    assert sorted(info["delay"] for _, _, info in topo.links(withInfo=True)) == sorted(f"{us}us" for us in delays_us)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="site"):
        NationalTopo(site=SITES)
