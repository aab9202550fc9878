"""The network as a Mininet ``Topo``.

Stock Mininet loads the national network from this file, with its own nodes and links, under short names (s1, h1); see
docs/mininet.md. `helsewan.emulation.mininet.build` builds the same topology with this project's nodes and links.
"""

from __future__ import annotations

from typing import Any

from mininet.topo import Topo

from helsewan.topology.model import AccessLink, Link, Network, Router, Site
from helsewan.topology.national.generator import national_network

TC_LINK_MOST_BPS = 1_000_000_000  # the highest rate that Mininet's TCLink accepts


class NetworkTopo(Topo):  # type: ignore[misc]
    """A network as a Mininet topology; nodes are named by router and site id.

    Options are in Mininet's own terms (``ip``, ``mac``, ``dpid``, ``bw`` in Mbit/s, ``delay``). On a stock
    switch, links have the port numbers of the model, followed by one port for each access link instead of a trunk. A
    subclass for other nodes and links overrides the ``*_options`` methods.
    """

    def build(self, network: Network) -> None:
        """Add every router, site, link and access link of ``network``."""
        self.network = network
        for router in network.routers:
            self.addSwitch(self.router_name(router), dpid=f"{router.index:016x}")
        for link in network.links:
            names = [self.router_name(network.router[end]) for end in (link.a, link.b)]
            ports = {"port1": network.ports[link.a][link.id], "port2": network.ports[link.b][link.id]}
            self.addLink(*names, **ports, **self.link_options(link))
        for site in network.sites:
            self.addHost(self.site_name(site), **self.site_options(site))
            for number, access in enumerate(site.accesses):
                names = [self.site_name(site), self.router_name(network.router[access.router])]
                # n links have ports 2 to n + 1; VLANs begin at 2, so access links have ports from n + 2: all distinct.
                ports = {"port1": number, "port2": len(network.ports[access.router]) + access.vlan}
                self.addLink(*names, **ports, **self.access_options(access, number))

    def site_options(self, site: Site) -> dict[str, Any]:
        """``addHost`` options: one address, on the primary access link, in a /8 that all hosts share (no gateway)."""
        return {"ip": f"{site.address4}/8", "mac": site.mac}

    def link_options(self, link: Link) -> dict[str, Any]:
        """``addLink`` options of a link between routers."""
        return stock_link_options(link.rate_bps, link.delay_us)

    def access_options(self, access: AccessLink, line: int) -> dict[str, Any]:
        """``addLink`` options of ``access``, the site's access link number ``line`` (0 = primary)."""
        return stock_link_options(access.rate_bps, access.delay_us)

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


def stock_link_options(rate_bps: int, delay_us: int) -> dict[str, Any]:
    """Options of Mininet's TCLink: the delay, and the rate unless it is above ``TC_LINK_MOST_BPS``."""
    shaped = {"bw": rate_bps / 1e6} if rate_bps <= TC_LINK_MOST_BPS else {}
    return {**shaped, "delay": f"{delay_us}us"}
