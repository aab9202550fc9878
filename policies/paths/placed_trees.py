"""Trees of paths placed on the backbone's links, and the load that demand along them puts on each link."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from helsewan.policies.paths.disjoint_paths import DisjointTrees, PathLinks
from helsewan.policies.plan import Egress, Parts, PathAlgorithm, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph, Floats, PathTree

Tree: TypeAlias = tuple[PathTree, ...]
"""Path trees of an egress set: one for each router, preferred first, or one to the nearest. A router uses the first
that reaches it."""


@dataclass
class Placement:
    """Trees by egress index; ``load_bps`` and ``utilisation`` by arc of ``graph``."""

    graph: BackboneGraph
    traffic: Traffic
    trees: dict[int, Tree] = field(default_factory=dict)
    views: dict[tuple[Parts, Parts], BackboneGraph] = field(default_factory=dict)
    disjoint: dict[int, DisjointTrees] = field(default_factory=dict)  # instead of a tree, for disjoint paths

    def __post_init__(self) -> None:
        self.load_bps: Floats = np.zeros(len(self.graph.cost))
        self.sources: dict[int, list[tuple[int, int]]] = {}  # egress index -> (position of a router, bit/s)
        for (router, egress), rate in self.traffic.demand_bps.items():
            self.sources.setdefault(egress, []).append((self.graph.arcs.position[router], rate))

    @cached_property
    def rate_bps(self) -> Floats:
        """Rate of every arc: that of the link which carries it, 1 where there is none."""
        link = self.graph.arcs.network.link
        return np.array([link[carrier].rate_bps if carrier else 1 for carrier in self.graph.carrier], dtype=np.float64)

    @property
    def utilisation(self) -> Floats:
        """Load over rate of every arc."""
        return self.load_bps / self.rate_bps

    def graph_for(self, path: PathAlgorithm) -> BackboneGraph:
        """The graph with what ``path`` avoids and prefers."""
        if not (path.avoid or path.prefer):
            return self.graph
        if (path.avoid, path.prefer) not in self.views:
            view = self.graph.avoiding(path.avoid.links, path.avoid.routers)
            self.views[path.avoid, path.prefer] = view.preferring(_links_in(path.prefer, view)) if path.prefer else view
        return self.views[path.avoid, path.prefer]

    def put(self, egress: Egress, tree: Tree) -> None:
        """Set the tree of ``egress``, replacing an earlier one, and update the load."""
        if egress.index in self.trees:
            self.load_bps = self.load_bps - self.load(egress, self.trees[egress.index])
        self.trees[egress.index] = tree
        self.load_bps = self.load_bps + self.load(egress, tree)

    def put_disjoint(self, egress: Egress, found: DisjointTrees) -> None:
        """Set disjoint paths for ``egress`` and add their load."""
        self.disjoint[egress.index], load = found, np.zeros(len(self.graph.cost))
        arcs = self.graph.arcs
        for node, rate in self.sources.get(egress.index, []):
            for router, link in (found.path(arcs.network, arcs.routers[node]) or {}).items():
                load[arcs.leaving(router, link)] += rate
        self.load_bps = self.load_bps + load

    def paths(self, egress: int) -> dict[str, PathLinks]:
        """The path to an egress set (by index) of every router that has one."""
        routers, network = self.graph.arcs.routers, self.graph.arcs.network
        if egress in self.disjoint:
            found = ((router, self.disjoint[egress].path(network, router)) for router in routers)
        else:
            found = ((router, path_along(self.trees[egress], router)) for router in routers)
        return {router: path for router, path in found if path is not None}

    def load(self, egress: Egress, tree: Tree) -> Floats:
        """The load of each arc in bit/s if the demand for ``egress`` takes ``tree``."""
        load, number = np.zeros(len(self.graph.cost)), self.graph.arcs.number
        waiting = self.sources.get(egress.index, [])
        for each in tree:
            through = [0] * len(each.predecessor)
            for node, rate in waiting:
                through[node] += rate if each.reaches_position(node) else 0
            waiting = [(node, rate) for node, rate in waiting if not each.reaches_position(node)]
            for node in each.farthest_first:
                if through[node] and node not in each.root_positions:
                    load[number[node, each.predecessor[node]]] += through[node]
                    through[each.predecessor[node]] += through[node]
        return load

    def total_demand_bps(self, egress: Egress) -> int:
        """The total demand for ``egress`` in bit/s."""
        return sum(rate for _, rate in self.sources.get(egress.index, ()))

    def copy(self) -> Placement:
        """An independent copy, to try changes on."""
        other = replace(self, trees=dict(self.trees), disjoint=dict(self.disjoint))
        other.load_bps = self.load_bps
        return other


def path_along(tree: Tree, router: str) -> PathLinks | None:
    """The path from a router in a tree; None where the tree does not reach it."""
    for each in tree:
        if each.reaches(router):
            network, path, root = each.graph.arcs.network, dict[str, str](), each.root_of(router)
            while router != root:
                path[router] = each.link_at(router)
                router = network.link[path[router]].other(router)
            return path
    return None


def _links_in(parts: Parts, graph: BackboneGraph) -> frozenset[str]:
    """The links that belong to ``parts``: those named, and all that end at a router named."""
    arcs = (arc for router in parts.routers for arc in graph.arcs.of_router[router])
    return parts.links.union(link.id for arc in arcs for link in graph.arcs.links[arc])
