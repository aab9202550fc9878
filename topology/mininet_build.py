"""Where the blueprint meets the machine: the network as a Mininet ``Topo``, and as a ``Mininet`` of our nodes.

Stock Mininet can load the blueprint too, with its own nodes and links, under short names (s1, h1)::

    mn --custom topology/mininet_build.py --topo helsewan,sites=150 --controller remote --link tc
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mininet.net import Mininet
from mininet.topo import Topo

from emulation.links import AccessLink, FibreLink, Plant
from emulation.nodes import SiteNode
from emulation.switches import RouterSwitch
from topology.model import Network, Router, Site
from topology.national import national_network


class NetworkTopo(Topo):  # type: ignore[misc]
    """A network as a Mininet topology; nodes carry the ids of the network's routers and sites.

    Node and link options are in Mininet's own terms (``dpid``, ``bw`` in Mbit/s, ``delay``) with the
    model's objects beside them (``site``, ``fibre``, ``access``), so stock and our own classes both find theirs.
    """

    def build(self, network: Network, plant: Plant | None = None, **_: Any) -> None:
        """Add every router, site, fibre and access line; with ``plant`` links are ours."""
        for router in network.routers:
            self.addSwitch(self.router_name(router), dpid=f"{router.index:016x}")
        for fibre in network.links:
            ours = {"cls": FibreLink, "plant": plant, "fibre": fibre, "network": network} if plant else {}
            names = [self.router_name(network.router[end]) for end in (fibre.a, fibre.b)]
            ports = {"port1": network.ports[fibre.a][fibre.id], "port2": network.ports[fibre.b][fibre.id]}
            self.addLink(*names, **ports, **_stock_options(fibre.rate_bps, fibre.delay_us), **ours)
        for site in network.sites:
            self.addHost(self.site_name(site), **({"site": site} if plant else {"ip": f"{site.address4}/8"}))
            for line, access in enumerate(site.accesses):
                ours = {"cls": AccessLink, "plant": plant, "access": access, "line": line} if plant else {}
                names = [self.site_name(site), self.router_name(network.router[access.router])]
                self.addLink(*names, **_stock_options(access.rate_bps, access.delay_us), **ours)

    def router_name(self, router: Router) -> str:
        """The Mininet name of a router."""
        return router.id

    def site_name(self, site: Site) -> str:
        """The Mininet name of a site."""
        return site.id


class NationalTopo(NetworkTopo):
    """The national network for ``mn --topo helsewan,sites=N,seed=N``, under names short enough for ``NAME-eth0``."""

    def build(self, sites: int | None = None, seed: int = 1, **_: Any) -> None:  # type: ignore[override]
        """The national network with ``sites`` sites in all."""
        super().build(national_network(sites=sites, seed=seed))

    def router_name(self, router: Router) -> str:
        """``s1``, ``s2`` ... by router index."""
        return f"s{router.index}"

    def site_name(self, site: Site) -> str:
        """``h1``, ``h2`` ... by site index."""
        return f"h{site.index}"


topos = {"helsewan": NationalTopo}  # the name Mininet's --custom looks for


def build(network: Network, plant: Plant, home: Path, log_dir: Path, controller: Path) -> Mininet:
    """The network as a built, not yet started Mininet of our nodes inside the present world.

    ``plant`` gets all lines (commit it before traffic), ``home`` the routers' sockets, ``controller``
    is the unix socket the controller listens on.
    """
    Mininet.inited = True  # Mininet.init would change system-wide sysctls and leave them so
    switch = partial(RouterSwitch, home=home, log_dir=log_dir, controller=controller)
    net = Mininet(topo=NetworkTopo(network, plant=plant), host=SiteNode, switch=switch, controller=None)
    plant.commit()
    return net


def _stock_options(rate_bps: int, delay_us: int) -> dict[str, Any]:
    """Rate and delay in the terms of Mininet's TCLink."""
    return {"bw": rate_bps / 1e6, "delay": f"{delay_us}us"}
