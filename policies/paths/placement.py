"""Demand on fibres: which tree of paths every egress set gets, as its classes choose, and how full that makes them.

Trees are placed one after the other, those of least delay first. One that would fill a fibre beyond the limit is led
round it. Those that choose by load come last, around what is busy by then.

Pure, and the same for the network as planned (a policy that does not fit is refused) and for what is left of it
after failures (there what does not fit goes the shortest way all the same: better late than never).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from helsewan.policies.paths.disjoint_paths import disjoint_trees
from helsewan.policies.paths.minmax import least_utilisation
from helsewan.policies.paths.placed_trees import Placement, Tree
from helsewan.policies.plan import Egress, PathAlgorithm, PathChoice, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph, Floats, PathTree

# Slopes of the cost of a link by its utilisation: Fortz and Thorup, "Internet traffic engineering by optimizing OSPF
# weights", INFOCOM 2000, equation 5.
_KNEES = np.array([1 / 3, 2 / 3, 9 / 10, 1, 11 / 10])
_SLOPES = np.array([1, 3, 10, 70, 500, 5000], dtype=np.float64)
_ROUNDS = 3  # each tree is taken off and placed anew so often


def place(graph: BackboneGraph, egresses: Sequence[Egress], traffic: Traffic) -> Placement:
    """A tree for every egress set. Among those of one choice, the set with the most demand chooses first."""
    placement = Placement(graph, traffic)
    index = {(egress.routers, egress.both, egress.path): egress.index for egress in egresses}
    by_demand = sorted(egresses, key=placement.total_demand_bps, reverse=True)
    for path in _in_order(egresses):
        chosen, known = [egress for egress in by_demand if egress.path == path], dict[str, PathTree]()
        if path.disjoint_from:
            for egress in chosen:
                others = [index[egress.routers, egress.both, other] for other in path.disjoint_from]
                found = disjoint_trees(placement.graph_for(path), egress, [placement.paths(each) for each in others])
                placement.put_disjoint(egress, found)
            continue
        for egress in chosen:
            shortest = _tree(placement.graph_for(path), egress, known)
            placement.put(egress, _within_capacity(placement, egress, shortest) if traffic.fill else shortest)
        if path.choice is PathChoice.LEAST_LOADED:
            placement = _least_utilised(placement, _by_load(placement, chosen))
        if path.choice is PathChoice.MIN_MAX:
            placement = _least_utilised(placement, [_min_max(placement, chosen), *_by_load(placement, chosen)])
    return placement


def _in_order(egresses: Iterable[Egress]) -> list[PathAlgorithm]:
    """The algorithms, those of least delay first, but those that are to be apart from others after these."""
    choices = list(PathChoice)
    paths = dict.fromkeys(egress.path for egress in egresses)
    return sorted(paths, key=lambda path: (path.rank, choices.index(path.choice)))


def _tree(graph: BackboneGraph, egress: Egress, known: dict[str, PathTree]) -> Tree:
    """The least-delay tree to ``egress``; ``known`` keeps the ways to each router."""
    if egress.both:
        return _nearest(graph, egress)
    for end in egress.routers:
        if end not in graph.out and end not in known:
            known[end] = graph.path_tree(end)
    return tuple(known[end] for end in egress.routers if end in known)


def _nearest(graph: BackboneGraph, egress: Egress, cost: Floats | None = None) -> Tree:
    """The tree whose roots are all routers of ``egress`` that are left."""
    ends = [end for end in egress.routers if end not in graph.out]
    return (graph.path_tree(*ends, cost=cost),) if ends else ()


def _by_cost(placement: Placement, egress: Egress, cost: Floats) -> Tree:
    """The cheapest tree to ``egress`` where ``cost`` is that of every arc taken toward it."""
    graph = placement.graph_for(egress.path)
    outwards = np.where(np.isfinite(graph.cost), cost, np.inf)[graph.arcs.opposite]
    if egress.both:
        return _nearest(graph, egress, outwards)
    return tuple(graph.path_tree(end, cost=outwards) for end in egress.routers if end not in graph.out)


def _within_capacity(placement: Placement, egress: Egress, shortest: Tree) -> Tree:
    """The shortest tree after leaving out, one at a time, the arc that it would fill most beyond the limit; the
    shortest of all where that leaves some router without a way, or with none but by what the class avoids."""
    tree, cost = shortest, placement.graph.cost.copy()
    capacity = placement.traffic.fill * placement.rate_bps - placement.load_bps
    while all(a.serves_as_well_as(b) for a, b in zip(tree, shortest, strict=True)):
        load = placement.load(egress, tree)
        excess = np.where(load > 0, (load - capacity) / placement.rate_bps, 0.0)
        if excess.max(initial=0.0) <= 0:
            return tree
        cost[excess.argmax()] = np.inf
        tree = _by_cost(placement, egress, cost)
    return shortest


def _by_load(placement: Placement, egresses: Sequence[Egress]) -> list[Placement]:
    """Some placements where each of ``egresses`` in turn took the way that is cheapest by the load of all others."""
    tried, found = placement.copy(), []
    for _ in range(_ROUNDS):
        for egress in egresses:
            others = tried.load_bps - tried.load(egress, tried.trees[egress.index])
            slope = _SLOPES[np.searchsorted(_KNEES, (others + tried.total_demand_bps(egress)) / tried.rate_bps)]
            shorter_first = tried.graph.cost * 1e-9  # where load does not decide
            tried.put(egress, _by_cost(tried, egress, slope * 1e9 / tried.rate_bps + shorter_first))
        found.append(tried.copy())
    return found


def _min_max(placement: Placement, egresses: Sequence[Egress]) -> Placement:
    """A placement after the linear program's solution, in which demand may split: each router takes the arc that
    carries the most of it, if that goes through nothing that is avoided."""
    levelled = placement.copy()
    for egress, tree in least_utilisation(placement, egresses).trees.items():
        if all(a.serves_as_well_as(b) for a, b in zip(tree, placement.trees[egress.index], strict=True)):
            levelled.put(egress, tree)
    return levelled


def _least_utilised(first: Placement, others: Sequence[Placement]) -> Placement:
    """The placement whose fullest arc is the least full; of equal ones the one that is less full in all."""
    return min((first, *others), key=lambda each: (round(each.utilisation.max(initial=0.0), 6), each.utilisation.sum()))
