"""Every single failure of a network, and what is still connected then."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from controller.paths import Failures
from topology.model import Network


def single_failures(network: Network) -> Iterator[tuple[str, Failures]]:
    """Every link, every router, every PoP, every shared-risk group."""
    for link in network.links:
        yield f"link {link.id}", Failures(links=frozenset({link.id}))
    for router in network.routers:
        yield f"router {router.id}", Failures(routers=frozenset({router.id}))
    for pop in network.pops:
        yield f"pop {pop.id}", Failures(routers=frozenset(pop.routers))
    for group in sorted({group for link in network.links for group in link.srlg}):
        yield f"srlg {group}", Failures(links=frozenset(link.id for link in network.links if group in link.srlg))


def components(network: Network, failed: Failures) -> dict[str, int]:
    """A number for every router that is left; those that are connected have the same."""
    graph = network.graph.copy()
    graph.remove_nodes_from(failed.routers)
    graph.remove_edges_from([(u, v, key) for u, v, key in graph.edges(keys=True) if key in failed.links])
    return {router: number for number, part in enumerate(nx.connected_components(graph)) for router in part}
