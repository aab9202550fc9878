"""Ways between two places that no single failure takes away together: up to three, the shortest such.

Two ways are independent if they share no link, no shared-risk group and no town but those at their ends. How many
there are with groups shared at will is a hard problem (Hu, "Diverse routing in optical mesh networks", IEEE Trans.
Communications 51, 2003), so an integer program answers it; for two ways and no groups it is Suurballe's. The most that
towns alone allow is known beforehand, by maximum flow, which saves asking for the impossible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from helsewan.topology.model import Link, Network, Site

MOST = 3
_Row = dict[int, float]  # column -> coefficient


@dataclass(frozen=True, slots=True)
class BackbonePath:
    """One way: the routers on it, and the links between them."""

    routers: tuple[str, ...]
    links: tuple[str, ...]
    delay_us: int


def independent_paths(
    network: Network, starts: Collection[str], ends: Collection[str], most: int = MOST
) -> tuple[BackbonePath, ...]:
    """As many independent ways from one of the routers ``starts`` to one of ``ends`` as there are, up to ``most``; of
    these the ones with the least delay in all, the shortest first. None where the two have a town in common."""
    towns = {network.router[router].pop for router in starts}, {network.router[router].pop for router in ends}
    if towns[0] & towns[1]:
        return ()
    for count in range(_ceiling(network, *towns, most), 0, -1):
        ways = _Program(network, count, *towns).solve()
        if ways:
            return tuple(sorted(ways, key=lambda way: (way.delay_us, way.links)))
    return ()


def _ceiling(network: Network, starts: set[str], ends: set[str], most: int) -> int:
    """How many ways there could be if groups did not matter: each town between carries one."""
    graph = nx.DiGraph()
    for pop in network.pops:
        graph.add_edge((pop.id, "in"), (pop.id, "out"), capacity=most if pop.id in starts | ends else 1)
    for link in network.links:
        for a, b in ((link.a, link.b), (link.b, link.a)):
            here, there = ((network.router[a].pop, "out"), (network.router[b].pop, "in"))
            graph.add_edge(here, there, capacity=graph.get_edge_data(here, there, {"capacity": 0})["capacity"] + 1)
    for town in starts:
        graph.add_edge("start", (town, "in"), capacity=most)
    for town in ends:
        graph.add_edge((town, "out"), "end", capacity=most)
    return min(most, int(nx.maximum_flow_value(graph, "start", "end")))


class _Program:
    """The integer program for ``count`` ways. A column says whether a way takes an arc, or a shared-risk group."""

    def __init__(self, network: Network, count: int, starts: set[str], ends: set[str]) -> None:
        self.network, self.count, self.starts, self.ends = network, count, starts, ends
        pop = {router.id: router.pop for router in network.routers}
        self.pop = pop
        both = [(a, b, link) for link in network.links for a, b in ((link.a, link.b), (link.b, link.a))]
        self.arcs: list[tuple[str, str, Link]] = [
            (a, b, link) for a, b, link in both if pop[b] not in starts and pop[a] not in ends
        ]
        risks = Counter(group for link in network.links for group in set(link.srlg))
        self.groups = sorted(group for group, links in risks.items() if links > 1)  # of one link says nothing new
        self.width = len(self.arcs) + len(self.groups)
        self.rows: list[_Row] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def solve(self) -> list[BackbonePath]:
        """The ways, or none if there are not so many."""
        for way in range(self.count):
            self._require_path(way * self.width)
        self._require_disjoint()
        delays = [link.delay_us + 1.0 for _, _, link in self.arcs] + [0.0] * len(self.groups)
        cells = [(row, column, value) for row, entry in enumerate(self.rows) for column, value in entry.items()]
        rows, columns, values = (np.array(each) for each in zip(*cells, strict=True))
        matrix = coo_array((values, (rows, columns)), shape=(len(self.rows), self.width * self.count)).tocsr()
        found = milp(
            np.tile(delays, self.count),
            constraints=LinearConstraint(matrix, self.low, self.high),
            integrality=np.ones(self.width * self.count),
            bounds=Bounds(0, 1),
        )
        if found.x is None:
            return []
        return [self._way(found.x[way * self.width :]) for way in range(self.count)]

    def _add(self, row: _Row, low: float, high: float) -> None:
        self.rows.append(row)
        self.low.append(low)
        self.high.append(high)

    def _require_path(self, base: int) -> None:
        """What enters a router leaves it; one arc leaves the towns of the start, one enters those of the end."""
        balance: defaultdict[str, _Row] = defaultdict(dict)
        leaving: _Row = {}
        for column, (a, b, _) in enumerate(self.arcs, start=base):
            balance[a][column], balance[b][column] = 1.0, -1.0
            if self.pop[a] in self.starts:
                leaving[column] = 1.0
        for router, row in balance.items():
            if self.pop[router] not in self.starts | self.ends:
                self._add(row, 0, 0)
        self._add(leaving or {base: 0.0}, 1, 1)
        group = {name: base + len(self.arcs) + place for place, name in enumerate(self.groups)}
        for column, (_, _, link) in enumerate(self.arcs, start=base):
            for name in group.keys() & set(link.srlg):
                self._add({column: 1.0, group[name]: -1.0}, -1, 0)

    def _require_disjoint(self) -> None:
        """Each link, group and town between is on one way at most."""
        shared: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for column, (a, b, link) in enumerate(self.arcs):
            shared["link", link.id].append(column)
            if self.pop[a] != self.pop[b] and self.pop[b] not in self.ends:  # enters a town between
                shared["town", self.pop[b]].append(column)
        for place, name in enumerate(self.groups):
            shared["group", name].append(len(self.arcs) + place)
        for columns in shared.values():
            self._add({way * self.width + each: 1.0 for way in range(self.count) for each in columns}, 0, 1)

    def _way(self, taken: npt.NDArray[np.float64]) -> BackbonePath:
        """The way that a solution's columns describe."""
        following = {a: (b, link) for (a, b, link), used in zip(self.arcs, taken, strict=False) if used > 0.5}
        router = next(router for router in following if self.pop[router] in self.starts)
        routers, links = [router], list[Link]()
        while self.pop[router] not in self.ends:
            router, link = following[router]
            routers.append(router)
            links.append(link)
        return BackbonePath(tuple(routers), tuple(link.id for link in links), sum(link.delay_us for link in links))


Towns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Footing:
    """``sites`` sites stand on ``towns`` (PoP ids). To the worst of their destinations, which is in towns ``to``,
    ``ways`` independent ways lead."""

    towns: Towns
    sites: int
    ways: int
    to: Towns


def footings(network: Network, destinations: Collection[Site]) -> list[Footing]:
    """For sites by the towns they stand on, the fewest independent ways to any of ``destinations`` in other towns.
    Sites that share a town with every destination are left out: they need no ways. Fewest ways first."""
    there = sorted({_towns(network, site) for site in destinations})
    found = []
    for here, sites in sorted(Counter(_towns(network, site) for site in network.sites).items()):
        apart = [towns for towns in there if not set(towns) & set(here)]
        start = _routers(network, here)
        numbers = {towns: len(independent_paths(network, start, _routers(network, towns))) for towns in apart}
        if numbers:
            worst = min(apart, key=numbers.__getitem__)
            found.append(Footing(here, sites, numbers[worst], worst))
    return sorted(found, key=lambda footing: (footing.ways, footing.towns))


def _towns(network: Network, site: Site) -> Towns:
    return tuple(sorted({network.router[router].pop for router in site.homing}))


def _routers(network: Network, towns: Towns) -> list[str]:
    return [router for town in towns for router in network.pop[town].routers]
