"""Where the blueprint meets the machine: the network as a Mininet ``Topo``, and as a ``Mininet`` of our nodes.

Stock Mininet can load the blueprint too, with its own nodes and links, under short names (s1, h1); see docs/mininet.md.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mininet.topo import Topo

from helsewan.emulation.links.link_backend import LinePlant
from helsewan.emulation.links.links import AccessLink, FibreLink
from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.nodes.nodes import SiteNode
from helsewan.emulation.routers.bfd import Timers
from helsewan.emulation.routers.management import ManagementNetwork
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.topology.model import Network, Router, Site
from helsewan.topology.national.generator import national_network

TC_LINK_MOST_BPS = 1_000_000_000  # Mininet's TCLink refuses to shape beyond


class NetworkTopo(Topo):  # type: ignore[misc]
    """A network as a Mininet topology; nodes carry the ids of the network's routers and sites.

    Options are in Mininet's own terms (``ip``, ``mac``, ``dpid``, ``bw`` in Mbit/s, ``delay``) for its own
    nodes and links, and the model's objects (``site``, ``fibre``, ``access``) for ours. A stock switch has its
    fibres on the ports the model gives them, and behind them a port for each access line instead of a trunk.
    """

    def build(self, network: Network, plant: LinePlant | None = None) -> None:
        """Add every router, site, fibre and access line; with ``plant`` links are ours."""
        for router in network.routers:
            self.addSwitch(self.router_name(router), dpid=f"{router.index:016x}")
        for fibre in network.links:
            ours = {"cls": FibreLink, "plant": plant, "fibre": fibre, "network": network} if plant else {}
            names = [self.router_name(network.router[end]) for end in (fibre.a, fibre.b)]
            ports = {"port1": network.ports[fibre.a][fibre.id], "port2": network.ports[fibre.b][fibre.id]}
            self.addLink(*names, **ports, **_stock_link(fibre.rate_bps, fibre.delay_us), **ours)
        for site in network.sites:
            self.addHost(self.site_name(site), **({"site": site} if plant else _stock_host(site)))
            for line, access in enumerate(site.accesses):
                ours = (
                    {"cls": AccessLink, "plant": plant, "access": access, "line": line, "network": network}
                    if plant
                    else {}
                )
                names = [self.site_name(site), self.router_name(network.router[access.router])]
                # Fibres have ports 2 to 1 + their number, and VLANs begin at 2: no two ends get one port.
                ports = {"port1": line, "port2": len(network.ports[access.router]) + access.vlan}
                self.addLink(*names, **ports, **_stock_link(access.rate_bps, access.delay_us), **ours)

    def router_name(self, router: Router) -> str:
        """The Mininet name of a router."""
        return router.id

    def site_name(self, site: Site) -> str:
        """The Mininet name of a site."""
        return site.id


class NationalTopo(NetworkTopo):
    """The national network for ``mn --topo helsewan,sites=N,seed=N``, under names short enough for ``NAME-eth0``."""

    def build(self, sites: int | None = None, seed: int = 1) -> None:  # type: ignore[override]
        """The national network with ``sites`` sites in all."""
        super().build(national_network(sites=sites, seed=seed))

    def router_name(self, router: Router) -> str:
        """``s1``, ``s2`` ... by router index."""
        return f"s{router.index}"

    def site_name(self, site: Site) -> str:
        """``h1``, ``h2`` ... by site index."""
        return f"h{site.index}"


topos = {"helsewan": NationalTopo}  # the name Mininet's --custom looks for


def build(
    network: Network,
    plant: LinePlant,
    home: Path,
    log_dir: Path,
    management: ManagementNetwork,
    bfd: Timers | None = None,
) -> EmulatedNet:
    """The network as a built, not yet started Mininet of our nodes inside the present world.

    ``plant`` gets all lines, ``home`` the routers' sockets; over ``management`` they reach their controller; ``bfd``
    are the timers of the sessions on fibres (None: none).
    """
    switch = partial(RouterSwitch, home=home, log_dir=log_dir, datapath=plant.dataplane.datapath_type, bfd=bfd)
    net = EmulatedNet(topo=NetworkTopo(network, plant=plant), host=SiteNode, switch=switch, controller=None)
    for router in net.switches:
        management.connect(router, plant)
    plant.commit()
    return net


def _stock_host(site: Site) -> dict[str, Any]:
    """Addresses for Mininet's own hosts, which have one, on the first line, and no router: all share a subnet."""
    return {"ip": f"{site.address4}/8", "mac": site.mac}


def _stock_link(rate_bps: int, delay_us: int) -> dict[str, Any]:
    """Delay, and rate where it shapes that, in the terms of Mininet's TCLink."""
    shaped = {"bw": rate_bps / 1e6} if rate_bps <= TC_LINK_MOST_BPS else {}
    return {**shaped, "delay": f"{delay_us}us"}
