"""What a fault hits: from a named target to the routers and links that fail. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from topology.model import Network, Pop, Region


@dataclass(frozen=True)
class Outage:
    """Routers without power and links cut (ids). A dead router takes its links and access lines with it."""

    routers: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    def dark_links(self, network: Network) -> tuple[str, ...]:
        """All links that carry nothing during the outage, in the network's order."""
        return tuple(
            link.id
            for link in network.links
            if link.id in self.links or link.a in self.routers or link.b in self.routers
        )

    def dark_accesses(self, network: Network) -> tuple[tuple[str, int], ...]:
        """All access lines that carry nothing, as (site id, line number)."""
        return tuple(
            (site.id, line)
            for site in network.sites
            for line, access in enumerate(site.accesses)
            if access.router in self.routers
        )


def region_core(network: Network, region: Region) -> Pop:
    """The region's core PoP: the one with two routers, else the one with most links (id breaks ties)."""
    candidates = [pop for pop in network.pops if pop.region is region]
    degree = {pop.id: sum(network.graph.degree(router) for router in pop.routers) for pop in candidates}
    return max(candidates, key=lambda pop: (len(pop.routers), degree[pop.id], pop.id))


def region_core_outage(network: Network, region: Region) -> Outage:
    """Every router of the region's core loses power."""
    return Outage(routers=frozenset(region_core(network, region).routers))


def pop_outage(network: Network, pop: str) -> Outage:
    """Every router of a PoP loses power; KeyError for an unknown PoP."""
    return Outage(routers=frozenset(network.pop[pop].routers))


def srlg_outage(network: Network, group: str) -> Outage:
    """Every link of a shared-risk group is cut; KeyError when no link has it."""
    links = frozenset(link.id for link in network.links if group in link.srlg)
    if not links:
        raise KeyError(group)
    return Outage(links=links)
