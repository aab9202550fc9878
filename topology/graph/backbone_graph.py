"""The links between routers as a sparse graph, and least-delay paths in it and in its remainder after failures.

The choice among several least-delay paths between two routers is deterministic and the same in both directions, so
that separately computed paths are consistent and form trees.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from helsewan.topology.model import Link, Network

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# SciPy is imported where a path is computed: it takes 0.2 s, and most processes only read what was computed.

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

_PREFERRED = 0.5  # factor on the cost of a preferred link: a path over such links may be twice as long
_HOP_COST_US = 1.0  # keeps zero-delay links as edges, and prefers fewer hops among equal delays
_UNUSABLE = np.inf
_FAR = 1e15  # above the cost of any path; without a limit, scipy continues over unusable arcs
_NOWHERE = -9999  # scipy's predecessor of unreachable nodes and roots


def cost_us(link: Link) -> float:
    """Cost of a hop over ``link`` in microseconds: its delay, 1 for the hop, and a fraction derived from its id.

    The fraction only breaks ties between equal paths: delays are whole microseconds and it is below 1/256.
    """
    return link.delay_us + _HOP_COST_US + crc32(link.id.encode()) / 2**40


@dataclass(frozen=True)
class Arcs:
    """The directed graph of a network: arcs are numbered in order of their routers; parallel links share one arc."""

    network: Network

    @cached_property
    def routers(self) -> tuple[str, ...]:
        """Router ids; the index of a router is its position."""
        return tuple(router.id for router in self.network.routers)

    @cached_property
    def position(self) -> dict[str, int]:
        """Position of each router by id."""
        return {router: node for node, router in enumerate(self.routers)}

    @cached_property
    def ends(self) -> list[tuple[int, int]]:
        """Positions (from, to) of every arc."""
        both = {(self.position[a], self.position[b]) for link in self.network.links for a, b in _both_ways(link)}
        return sorted(both)

    @cached_property
    def number(self) -> dict[tuple[int, int], int]:
        """Number of each arc by its ends."""
        return {ends: arc for arc, ends in enumerate(self.ends)}

    @cached_property
    def links(self) -> list[list[Link]]:
        """The links of each arc, least delay first."""
        found: list[list[Link]] = [[] for _ in self.ends]
        for link in sorted(self.network.links, key=cost_us):
            for arc in self.of_link[link.id]:
                found[arc].append(link)
        return found

    @cached_property
    def of_link(self) -> dict[str, tuple[int, int]]:
        """Both arcs of each link by id; the one from ``a`` to ``b`` first."""
        at, number = self.position, self.number
        return {
            link.id: (number[at[link.a], at[link.b]], number[at[link.b], at[link.a]]) for link in self.network.links
        }

    @cached_property
    def of_router(self) -> dict[str, list[int]]:
        """The arcs that begin or end at each router, by router id."""
        found: dict[str, list[int]] = {router: [] for router in self.routers}
        for arc, ends in enumerate(self.ends):
            for end in ends:
                found[self.routers[end]].append(arc)
        return found

    @cached_property
    def opposite(self) -> npt.NDArray[np.intp]:
        """The number of each arc's opposite arc."""
        return np.array([self.number[b, a] for a, b in self.ends], dtype=np.intp)

    def leaving(self, router: str, link: str) -> int:
        """The number of the arc from ``router`` over ``link``."""
        return self.of_link[link][self.network.link[link].a != router]

    @cached_property
    def _rows(self) -> npt.NDArray[np.int32]:
        begins = np.array([begin for begin, _ in self.ends], dtype=np.int32)
        return np.searchsorted(begins, np.arange(len(self.routers) + 1)).astype(np.int32)

    @cached_property
    def _columns(self) -> npt.NDArray[np.int32]:
        return np.array([end for _, end in self.ends], dtype=np.int32)

    def matrix(self, cost: Floats) -> csr_array:
        """The sparse adjacency matrix with ``cost`` for each arc."""
        from scipy.sparse import csr_array

        return csr_array((cost, self._columns, self._rows), shape=(len(self.routers), len(self.routers)))


class BackboneGraph:
    """The usable part of a network: for each arc its cost and the link that carries it (``carrier``)."""

    def __init__(self, network: Network) -> None:
        self.arcs = Arcs(network)
        self.cost: Floats = np.array([cost_us(links[0]) for links in self.arcs.links], dtype=np.float64)
        self.carrier = [links[0].id for links in self.arcs.links]
        self.costly = np.zeros(len(self.cost), dtype=np.bool_)
        self.lost: frozenset[str] = frozenset()
        self.out: frozenset[str] = frozenset()
        self.avoided: frozenset[str] = frozenset()
        self.bypassed: frozenset[str] = frozenset()
        self.weight: Floats | None = None

    def without(self, links: Collection[str], routers: Collection[str]) -> BackboneGraph:
        """A copy without these links and routers."""
        left = self._copy()
        left.lost, left.out = self.lost.union(links), self.out.union(routers)
        left._select_carriers(links)
        return left

    def avoiding(self, links: Collection[str], routers: Collection[str] = ()) -> BackboneGraph:
        """A copy in which paths use these links, or go through these routers, only as a last resort (RFC 8379): if no
        other path reaches the end."""
        left = self._copy()
        left.avoided, left.bypassed = self.avoided.union(links), self.bypassed.union(routers)
        left._select_carriers(links)
        return left

    def preferring(self, links: Collection[str]) -> BackboneGraph:
        """A copy in which the cost of these links is multiplied by ``_PREFERRED``."""
        left = self._copy()
        preferred = [carrier in links for carrier in self.carrier]
        left.weight = np.where(preferred, _PREFERRED, 1.0)
        return left

    def _copy(self) -> BackboneGraph:
        other = object.__new__(BackboneGraph)
        other.arcs, other.cost, other.carrier, other.costly = (
            self.arcs,
            self.cost.copy(),
            self.carrier.copy(),
            self.costly,
        )
        other.lost, other.out, other.avoided = self.lost, self.out, self.avoided
        other.bypassed, other.weight = self.bypassed, self.weight
        return other

    def _select_carriers(self, links: Collection[str]) -> None:
        """Select the carriers of these links' arcs again, and remove the arcs of routers that are out."""
        self.costly = self.costly.copy()
        for arc in (arc for link in links for arc in self.arcs.of_link[link]):
            usable = (link for link in self.arcs.links[arc] if link.id not in self.lost)
            carrier = min(usable, key=lambda link: link.id in self.avoided, default=None)
            self.cost[arc] = _UNUSABLE if carrier is None else cost_us(carrier)
            self.carrier[arc] = "" if carrier is None else carrier.id
            self.costly[arc] = carrier is not None and carrier.id in self.avoided
        for router in self.out:
            self.cost[self.arcs.of_router[router]] = _UNUSABLE

    def costly_from(self, roots: Collection[str]) -> Flags:
        """Flags of the last-resort arcs, in direction away from ``roots``."""
        through = self.bypassed.difference(roots)
        if not through:
            return self.costly
        begins = np.array([self.arcs.routers[begin] in through for begin, _ in self.arcs.ends], dtype=np.bool_)
        return self.costly | (begins & np.isfinite(self.cost))

    def path_tree(self, *roots: str, cost: Floats | None = None) -> PathTree:
        """The cheapest paths between each router and the nearest of ``roots``: by delay, or by ``cost`` of each arc in
        direction away from the roots."""
        from scipy.sparse.csgraph import dijkstra

        outwards = self.cost if cost is None else cost
        if self.weight is not None:
            outwards = outwards * self.weight
        costly = self.costly_from(roots)
        if costly.any():  # more than any path without them
            outwards = np.where(costly, outwards + outwards[np.isfinite(outwards)].sum(), outwards)
        matrix = self.arcs.matrix(outwards)
        nodes = [self.arcs.position[root] for root in roots]
        reach, predecessor, _ = dijkstra(matrix, indices=nodes, return_predecessors=True, limit=_FAR, min_only=True)
        return PathTree(self, roots, reach.tolist(), predecessor.tolist())


@dataclass(frozen=True)
class PathTree:
    """The trees of cheapest paths at ``roots`` (usually one root): by position, each router's cost to the nearest root
    and its predecessor."""

    graph: BackboneGraph
    roots: tuple[str, ...]
    distance: list[float]  # inf: unreachable
    predecessor: list[int]

    def reaches(self, router: str) -> bool:
        """Whether there is a path between a root and ``router``."""
        return router in self.roots or self.predecessor[self.graph.arcs.position[router]] != _NOWHERE

    def reaches_position(self, node: int) -> bool:
        """Whether there is a path between a root and the router at position ``node``."""
        return isfinite(self.distance[node])

    @cached_property
    def root_positions(self) -> frozenset[int]:
        """The roots' positions."""
        return frozenset(self.graph.arcs.position[root] for root in self.roots)

    def root_of(self, router: str) -> str:
        """The root of the tree that contains ``router``, which must be reachable."""
        if len(self.roots) == 1:
            return self.roots[0]
        node = self.graph.arcs.position[router]
        while node not in self.root_positions:
            node = self.predecessor[node]
        return self.graph.arcs.routers[node]

    @cached_property
    def farthest_first(self) -> list[int]:
        """The reachable positions by descending cost: each router comes before its predecessor."""
        return sorted(
            (node for node, distance in enumerate(self.distance) if isfinite(distance)),
            key=lambda node: -self.distance[node],
        )

    @cached_property
    def last_resort(self) -> frozenset[int]:
        """The positions whose path to the roots uses last-resort arcs, as no other path exists."""
        costly, number, found = self.graph.costly_from(self.roots), self.graph.arcs.number, set[int]()
        if costly.any():
            for node in reversed(self.farthest_first):
                predecessor = self.predecessor[node]
                if predecessor != _NOWHERE and (predecessor in found or costly[number[predecessor, node]]):
                    found.add(node)
        return frozenset(found)

    def serves_as_well_as(self, other: PathTree) -> bool:
        """Whether this reaches the same routers as ``other``, with the same roots, and uses last-resort arcs for no
        further router."""
        return set(self.farthest_first) == set(other.farthest_first) and self.last_resort <= other.last_resort

    def link_at(self, router: str) -> str:
        """The id of the link from ``router``, which must be reachable, towards its root."""
        return self._link[self.graph.arcs.position[router]]

    def hops(self, end: str) -> dict[str, str]:
        """For each router on the path from the root to ``end``, which must be reachable, the id of the next link."""
        routers, predecessor, link = self.graph.arcs.routers, self.predecessor, self._link
        found, node = {}, self.graph.arcs.position[end]
        while link[node]:
            found[routers[predecessor[node]]] = link[node]
            node = predecessor[node]
        return found

    @cached_property
    def _link(self) -> list[str]:
        """By position, the id of the link to the predecessor; empty for roots and unreachable routers."""
        number, carrier = self.graph.arcs.number, self.graph.carrier
        return [
            "" if predecessor == _NOWHERE else carrier[number[node, predecessor]]
            for node, predecessor in enumerate(self.predecessor)
        ]


def _both_ways(link: Link) -> tuple[tuple[str, str], tuple[str, str]]:
    return (link.a, link.b), (link.b, link.a)
