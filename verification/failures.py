"""The states of a network that a verifier examines, and what is still connected in each."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import Network
from helsewan.verification.findings import Case

INTACT = Case("intact", Failures())
SCOPES = ("none", "single", "srlg")


def cases(network: Network, scope: str) -> tuple[Case, ...]:
    """The intact network and, by ``scope``, nothing else (none), every failure of one thing (single), or these and
    every shared-risk group (srlg).

    Raises ValueError for another scope."""
    if scope not in SCOPES:
        raise ValueError(f"{scope!r} is none of {', '.join(SCOPES)}")
    found = [INTACT]
    if scope != "none":
        found += [Case(name, failures) for name, failures in single_failures(network) if _is_single(name)]
        found += [
            Case(f"line {site} {number}", Failures(access_links=frozenset({(site, number)})))
            for site, number in _lines(network)
        ]
    if scope == "srlg":
        found += [Case(name, failures) for name, failures in single_failures(network) if not _is_single(name)]
    return tuple(found)


def _is_single(name: str) -> bool:
    return not name.startswith("srlg ")


def _lines(network: Network) -> Iterator[tuple[str, int]]:
    """The lines of dual-homed sites: who has one line only is cut off without it."""
    return ((site.id, number) for site in network.sites if len(site.accesses) > 1 for number in (0, 1))


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


def cut_off(network: Network, failed: Failures) -> dict[int, frozenset[str]]:
    """By number of component (see `components`), the sites that nothing leads to from there."""
    part = components(network, failed)
    reached: dict[int, set[str]] = {number: set() for number in part.values()}
    for site in network.sites:
        for line, access in enumerate(site.accesses):
            if (site.id, line) not in failed.access_links and access.router in part:
                reached[part[access.router]].add(site.id)
    everybody = frozenset(site.id for site in network.sites)
    return {number: everybody - sites for number, sites in reached.items()}
