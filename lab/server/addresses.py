"""The addresses of the nodes of a running lab."""

from __future__ import annotations

from helsewan.emulation.nodes.nodes import NamespaceNode, SiteNode
from helsewan.topology.model import Network, router_address4, router_address6


def addresses_of(node: NamespaceNode, network: Network) -> list[str]:
    """A node's addresses, IPv4 first: a site's and a host's own; of a router those it answers traceroute with."""
    if isinstance(node, SiteNode):
        return [node.IP(), str(node.site.address6)]
    router = network.router.get(node.name)
    if router is not None:
        return [str(router_address4(router)), str(router_address6(router))]
    return [str(address) for address in [node.IP()] if address]
