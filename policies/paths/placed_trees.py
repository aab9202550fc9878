"""Trees of paths placed on the backbone's links, and the load that demand along them puts on each link."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from helsewan.policies.paths.disjoint_paths import Branches, Way
from helsewan.policies.plan import Egress, Parts, PathAlgorithm, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph, Floats, Ways

Tree: TypeAlias = tuple[Ways, ...]
"""To the routers of an egress set, preferred first, or to the nearest: the first to reach counts."""


@dataclass
class Placement:
    """Trees by egress index, and the load of every arc of ``fibres`` in bit/s."""

    fibres: BackboneGraph
    traffic: Traffic
    trees: dict[int, Tree] = field(default_factory=dict)
    views: dict[tuple[Parts, Parts], BackboneGraph] = field(default_factory=dict)
    apart: dict[int, Branches] = field(default_factory=dict)  # in place of a tree, for those apart from others

    def __post_init__(self) -> None:
        self.load_bps: Floats = np.zeros(len(self.fibres.cost))
        self.sources: dict[int, list[tuple[int, int]]] = {}  # egress index -> (position of a router, bit/s)
        for (router, egress), rate in self.traffic.demand_bps.items():
            self.sources.setdefault(egress, []).append((self.fibres.arcs.position[router], rate))

    @cached_property
    def rate_bps(self) -> Floats:
        """Every arc's rate: that of the link which carries it, 1 where none does."""
        link = self.fibres.arcs.network.link
        return np.array([link[carrier].rate_bps if carrier else 1 for carrier in self.fibres.carrier], dtype=np.float64)

    @property
    def utilisation(self) -> Floats:
        """How full every arc is."""
        return self.load_bps / self.rate_bps

    def fibres_by(self, path: PathAlgorithm) -> BackboneGraph:
        """The fibres as ways by ``path`` take them."""
        if not (path.avoid or path.prefer):
            return self.fibres
        if (path.avoid, path.prefer) not in self.views:
            view = self.fibres.avoiding(path.avoid.links, path.avoid.routers)
            self.views[path.avoid, path.prefer] = view.preferring(_in(path.prefer, view)) if path.prefer else view
        return self.views[path.avoid, path.prefer]

    def put(self, egress: Egress, tree: Tree) -> None:
        """Gives ``egress`` this tree, instead of another it may have."""
        if egress.index in self.trees:
            self.load_bps = self.load_bps - self.load(egress, self.trees[egress.index])
        self.trees[egress.index] = tree
        self.load_bps = self.load_bps + self.load(egress, tree)

    def put_apart(self, egress: Egress, found: Branches) -> None:
        """Gives ``egress`` ways apart from others, and their load."""
        self.apart[egress.index], load = found, np.zeros(len(self.fibres.cost))
        arcs = self.fibres.arcs
        for place, rate in self.sources.get(egress.index, []):
            for router, link in (found.way(arcs.network, arcs.routers[place]) or {}).items():
                load[arcs.leaving(router, link)] += rate
        self.load_bps = self.load_bps + load

    def ways(self, egress: int) -> dict[str, Way]:
        """The way of every router from which one leads to an egress set (by index)."""
        routers, network = self.fibres.arcs.routers, self.fibres.arcs.network
        if egress in self.apart:
            found = ((router, self.apart[egress].way(network, router)) for router in routers)
        else:
            found = ((router, along(self.trees[egress], router)) for router in routers)
        return {router: way for router, way in found if way is not None}

    def load(self, egress: Egress, tree: Tree) -> Floats:
        """What the demand for ``egress`` puts on each arc if it takes ``tree``."""
        load, number = np.zeros(len(self.fibres.cost)), self.fibres.arcs.number
        waiting = self.sources.get(egress.index, [])
        for ways in tree:
            through = [0] * len(ways.before)
            for place, rate in waiting:
                through[place] += rate if ways.reaches_place(place) else 0
            waiting = [(place, rate) for place, rate in waiting if not ways.reaches_place(place)]
            for place in ways.farthest_first:
                if through[place] and place not in ways.root_places:
                    load[number[place, ways.before[place]]] += through[place]
                    through[ways.before[place]] += through[place]
        return load

    def wanted_bps(self, egress: Egress) -> int:
        """The demand for ``egress`` in all."""
        return sum(rate for _, rate in self.sources.get(egress.index, ()))

    def copy(self) -> Placement:
        """The same trees, to try others on."""
        other = replace(self, trees=dict(self.trees), apart=dict(self.apart))
        other.load_bps = self.load_bps
        return other


def along(tree: Tree, router: str) -> Way | None:
    """The way from a router by a tree; None where it is not reached."""
    for ways in tree:
        if ways.reaches(router):
            network, way, root = ways.fibres.arcs.network, dict[str, str](), ways.root_of(router)
            while router != root:
                way[router] = ways.link_at(router)
                router = network.link[way[router]].other(router)
            return way
    return None


def _in(parts: Parts, fibres: BackboneGraph) -> frozenset[str]:
    """The links that belong to ``parts``: those named, and all that end at a router named."""
    arcs = (arc for router in parts.routers for arc in fibres.arcs.of_router[router])
    return parts.links.union(link.id for arc in arcs for link in fibres.arcs.links[arc])
