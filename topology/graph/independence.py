"""Independent paths between two places: up to three of least total delay that no single failure breaks together.

Two paths are independent if they share no link, no shared-risk group and no town except at their ends. With arbitrary
shared-risk groups the problem is NP-hard (Hu, "Diverse routing in optical mesh networks", IEEE Trans. Communications
51, 2003), so it is solved as an integer program; for two paths and no groups it is Suurballe's problem. A maximum flow
over towns gives an upper bound on their number, which avoids solving infeasible programs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt

from helsewan.topology.model import Link, Network, Site

MAX_PATHS = 3
_Row = dict[int, float]  # column -> coefficient


@dataclass(frozen=True, slots=True)
class BackbonePath:
    """A path: its router ids, the link ids between them, and its one-way delay."""

    routers: tuple[str, ...]
    links: tuple[str, ...]
    delay_us: int


def independent_paths(
    network: Network, starts: Collection[str], ends: Collection[str], most: int = MAX_PATHS
) -> tuple[BackbonePath, ...]:
    """The largest set of independent paths from one of the routers ``starts`` to one of ``ends``, up to ``most``.

    Among such sets it is the one of least total delay, ordered by delay. Empty if both have a town in common.
    """
    towns = {network.router[router].pop for router in starts}, {network.router[router].pop for router in ends}
    if towns[0] & towns[1]:
        return ()
    for count in range(_ceiling(network, *towns, most), 0, -1):
        paths = _Program(network, count, *towns).solve()
        if paths:
            return tuple(sorted(paths, key=lambda path: (path.delay_us, path.links)))
    return ()


def _ceiling(network: Network, starts: set[str], ends: set[str], most: int) -> int:
    """Upper bound on the number of paths without regard to groups: each intermediate town is on at most one."""
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
    """The integer program for ``count`` paths. Each column is 1 if a path uses an arc, or a shared-risk group."""

    def __init__(self, network: Network, count: int, starts: set[str], ends: set[str]) -> None:
        self.network, self.count, self.starts, self.ends = network, count, starts, ends
        pop = {router.id: router.pop for router in network.routers}
        self.pop = pop
        both = [(a, b, link) for link in network.links for a, b in ((link.a, link.b), (link.b, link.a))]
        self.arcs: list[tuple[str, str, Link]] = [
            (a, b, link) for a, b, link in both if pop[b] not in starts and pop[a] not in ends
        ]
        risks = Counter(group for link in network.links for group in set(link.srlg))
        self.groups = sorted(group for group, links in risks.items() if links > 1)  # one link alone: no constraint
        self.width = len(self.arcs) + len(self.groups)
        self.rows: list[_Row] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def solve(self) -> list[BackbonePath]:
        """The paths, or an empty list if there are fewer than ``count``."""
        # Here, for importing SciPy's solvers takes a third of a second, and most processes solve nothing.
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        for path in range(self.count):
            self._require_path(path * self.width)
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
        return [self._path(found.x[path * self.width :]) for path in range(self.count)]

    def _add(self, row: _Row, low: float, high: float) -> None:
        self.rows.append(row)
        self.low.append(low)
        self.high.append(high)

    def _require_path(self, base: int) -> None:
        """Flow conservation at intermediate routers, one arc out of the start's towns, and the groups of used arcs."""
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
        """Each link, group and intermediate town is on at most one path."""
        shared: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for column, (a, b, link) in enumerate(self.arcs):
            shared["link", link.id].append(column)
            if self.pop[a] != self.pop[b] and self.pop[b] not in self.ends:  # enters an intermediate town
                shared["town", self.pop[b]].append(column)
        for place, name in enumerate(self.groups):
            shared["group", name].append(len(self.arcs) + place)
        for columns in shared.values():
            self._add({path * self.width + each: 1.0 for path in range(self.count) for each in columns}, 0, 1)

    def _path(self, taken: npt.NDArray[np.float64]) -> BackbonePath:
        """The path that a solution's columns describe."""
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
class Redundancy:
    """``sites`` sites are attached to ``towns`` (PoP ids). ``paths`` is the number of independent paths to their
    destination with the fewest, in towns ``to``."""

    towns: Towns
    sites: int
    paths: int
    to: Towns


def path_redundancy(network: Network, destinations: Collection[Site]) -> list[Redundancy]:
    """For each set of towns that sites are attached to, the fewest independent paths to any of ``destinations`` in
    other towns, fewest first. Sites that share a town with every destination need no paths and are left out."""
    there = sorted({_towns(network, site) for site in destinations})
    found = []
    for here, sites in sorted(Counter(_towns(network, site) for site in network.sites).items()):
        apart = [towns for towns in there if not set(towns) & set(here)]
        start = _routers(network, here)
        numbers = {towns: len(independent_paths(network, start, _routers(network, towns))) for towns in apart}
        if numbers:
            worst = min(apart, key=numbers.__getitem__)
            found.append(Redundancy(here, sites, numbers[worst], worst))
    return sorted(found, key=lambda each: (each.paths, each.towns))


def _towns(network: Network, site: Site) -> Towns:
    return tuple(sorted({network.router[router].pop for router in site.homing}))


def _routers(network: Network, towns: Towns) -> list[str]:
    return [router for town in towns for router in network.pop[town].routers]
