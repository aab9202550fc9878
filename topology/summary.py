"""Summary of a network: counts by region and kind, and the towns that are single points of failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from helsewan.topology.model import Kind, Network, Region


@dataclass(frozen=True)
class Summary:
    """Counts of a network. ``single_points`` maps each town (PoP id) whose failure partitions the backbone to the
    number of sites then disconnected from the largest remaining part."""

    name: str
    seed: int
    pops: int
    routers: int
    links: int
    fibre_km: float
    sites: int
    dual_homed: int
    counts: Mapping[tuple[Region, Kind], int]
    single_points: Mapping[str, int]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Table of sites by region and kind: a header, one row for each region, and the totals."""
        columns = list(Kind)
        lines = [(region.label, [self.counts.get((region, kind), 0) for kind in columns]) for region in Region]
        lines.append(("all", [sum(column) for column in zip(*(row for _, row in lines), strict=True)]))
        header = ("region", *(kind.value for kind in columns), "sites")
        return [header, *((label, *map(str, row), str(sum(row))) for label, row in lines)]


def summary(network: Network) -> Summary:
    """Compute the summary of ``network``."""
    return Summary(
        name=network.name,
        seed=network.seed,
        pops=len(network.pops),
        routers=len(network.routers),
        links=len(network.links),
        fibre_km=round(sum(link.fibre_km for link in network.links), 1),
        sites=len(network.sites),
        dual_homed=sum(len(site.accesses) > 1 for site in network.sites),
        counts=Counter((site.region, site.kind) for site in network.sites),
        single_points=_single_points(network),
    )


def _single_points(network: Network) -> dict[str, int]:
    """Articulation points of the graph of towns, each with the number of sites that its failure disconnects."""
    towns = nx.Graph()
    towns.add_nodes_from(network.pop)
    towns.add_edges_from((network.router[link.a].pop, network.router[link.b].pop) for link in network.links)
    towns.remove_edges_from(list(nx.selfloop_edges(towns)))
    homes = [{network.router[router].pop for router in site.homing} for site in network.sites]
    found: dict[str, int] = {}
    for town in sorted(nx.articulation_points(towns)):
        rest = towns.subgraph(set(towns) - {town})
        largest = max(nx.connected_components(rest), key=len)
        found[town] = sum(not home & largest for home in homes)
    return found
