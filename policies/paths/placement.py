"""Demand on fibres: which tree of paths every egress set gets, as its classes choose, and how full that makes them.

Trees are placed one after the other, those of least delay first. One that would fill a fibre beyond the limit is led
round it. Those that choose by load come last, around what is busy by then.

Pure, and the same for the network as planned (a policy that does not fit is refused) and for what is left of it
after failures (there what does not fit goes the shortest way all the same: better late than never).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from helsewan.policies.paths.disjoint_paths import Branches, Way, branches
from helsewan.policies.paths.minmax import least_utilisation
from helsewan.policies.plan import Egress, Parts, PathAlgorithm, PathChoice, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph, Floats, Ways

Tree = tuple[
    Ways, ...
]  # to the routers of an egress set, preferred first, or to the nearest: the first to reach counts

# Slopes of the cost of a link by its utilisation: Fortz and Thorup, "Internet traffic engineering by optimizing OSPF
# weights", INFOCOM 2000, equation 5.
_KNEES = np.array([1 / 3, 2 / 3, 9 / 10, 1, 11 / 10])
_SLOPES = np.array([1, 3, 10, 70, 500, 5000], dtype=np.float64)
_ROUNDS = 3  # each tree is taken off and placed anew so often


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


def place(fibres: BackboneGraph, egresses: Sequence[Egress], traffic: Traffic) -> Placement:
    """A tree for every egress set. Among those of one choice, the set with the most demand chooses first."""
    placement = Placement(fibres, traffic)
    index = {(egress.routers, egress.both, egress.path): egress.index for egress in egresses}
    by_demand = sorted(egresses, key=placement.wanted_bps, reverse=True)
    for path in _in_order(egresses):
        chosen, known = [egress for egress in by_demand if egress.path == path], dict[str, Ways]()
        if path.apart_from:
            for egress in chosen:
                others = [index[egress.routers, egress.both, other] for other in path.apart_from]
                found = branches(placement.fibres_by(path), egress, [placement.ways(each) for each in others])
                placement.put_apart(egress, found)
            continue
        for egress in chosen:
            shortest = _tree(placement.fibres_by(path), egress, known)
            placement.put(egress, _with_room(placement, egress, shortest) if traffic.fill else shortest)
        if path.choice is PathChoice.LEAST_LOADED:
            placement = _emptiest(placement, _spread(placement, chosen))
        if path.choice is PathChoice.MIN_MAX:
            placement = _emptiest(placement, [_levelled(placement, chosen), *_spread(placement, chosen)])
    return placement


def _in_order(egresses: Iterable[Egress]) -> list[PathAlgorithm]:
    """The algorithms, those of least delay first, but those that are to be apart from others after these."""
    choices = list(PathChoice)
    paths = dict.fromkeys(egress.path for egress in egresses)
    return sorted(paths, key=lambda path: (path.rank, choices.index(path.choice)))


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


def _tree(fibres: BackboneGraph, egress: Egress, known: dict[str, Ways]) -> Tree:
    """The least-delay tree to ``egress``; ``known`` keeps the ways to each router."""
    if egress.both:
        return _nearest(fibres, egress)
    for end in egress.routers:
        if end not in fibres.out and end not in known:
            known[end] = fibres.ways(end)
    return tuple(known[end] for end in egress.routers if end in known)


def _nearest(fibres: BackboneGraph, egress: Egress, cost: Floats | None = None) -> Tree:
    """The tree whose roots are all routers of ``egress`` that are left."""
    ends = [end for end in egress.routers if end not in fibres.out]
    return (fibres.ways(*ends, cost=cost),) if ends else ()


def _by_cost(placement: Placement, egress: Egress, cost: Floats) -> Tree:
    """The cheapest tree to ``egress`` where ``cost`` is that of every arc taken toward it."""
    fibres = placement.fibres_by(egress.path)
    outwards = np.where(np.isfinite(fibres.cost), cost, np.inf)[fibres.arcs.opposite]
    if egress.both:
        return _nearest(fibres, egress, outwards)
    return tuple(fibres.ways(end, cost=outwards) for end in egress.routers if end not in fibres.out)


def _with_room(placement: Placement, egress: Egress, shortest: Tree) -> Tree:
    """The shortest tree after leaving out, one at a time, the arc that it would fill most beyond the limit; the
    shortest of all where that leaves some router without a way, or with none but by what the class avoids."""
    tree, cost = shortest, placement.fibres.cost.copy()
    room = placement.traffic.fill * placement.rate_bps - placement.load_bps
    while all(a.serves_as_well_as(b) for a, b in zip(tree, shortest, strict=True)):
        load = placement.load(egress, tree)
        excess = np.where(load > 0, (load - room) / placement.rate_bps, 0.0)
        if excess.max(initial=0.0) <= 0:
            return tree
        cost[excess.argmax()] = np.inf
        tree = _by_cost(placement, egress, cost)
    return shortest


def _spread(placement: Placement, egresses: Sequence[Egress]) -> list[Placement]:
    """Some placements where each of ``egresses`` in turn took the way that is cheapest by the load of all others."""
    tried, found = placement.copy(), []
    for _ in range(_ROUNDS):
        for egress in egresses:
            others = tried.load_bps - tried.load(egress, tried.trees[egress.index])
            slope = _SLOPES[np.searchsorted(_KNEES, (others + tried.wanted_bps(egress)) / tried.rate_bps)]
            shorter_first = tried.fibres.cost * 1e-9  # where load does not decide
            tried.put(egress, _by_cost(tried, egress, slope * 1e9 / tried.rate_bps + shorter_first))
        found.append(tried.copy())
    return found


def _levelled(placement: Placement, egresses: Sequence[Egress]) -> Placement:
    """A placement after the linear program's solution, in which demand may split: each router takes the arc that
    carries the most of it, if that goes through nothing that is avoided."""
    levelled = placement.copy()
    for egress, tree in least_utilisation(placement, egresses).trees.items():
        if all(a.serves_as_well_as(b) for a, b in zip(tree, placement.trees[egress.index], strict=True)):
            levelled.put(egress, tree)
    return levelled


def _emptiest(first: Placement, others: Sequence[Placement]) -> Placement:
    """The placement whose fullest arc is the least full; of equal ones the one that is less full in all."""
    return min((first, *others), key=lambda each: (round(each.utilisation.max(initial=0.0), 6), each.utilisation.sum()))
