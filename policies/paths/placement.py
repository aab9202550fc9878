"""Traffic placement: chooses the tree of paths of every egress set by its class's algorithm and the demand.

Trees are placed one after the other, least-delay ones first. A tree that would use a link beyond the limit is routed
around it. Algorithms that choose by load come last.

Pure. Used for the network without failures (a policy that does not fit is refused) and for the network after failures
(where demand that does not fit takes the shortest path all the same).
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
_ROUNDS = 3  # how often each tree is removed and placed again


def place(graph: BackboneGraph, egresses: Sequence[Egress], traffic: Traffic) -> Placement:
    """A tree for every egress set. Within one algorithm, the set with the most demand is placed first."""
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
    """The algorithms, least delay first, and each after those that it must be disjoint from."""
    choices = list(PathChoice)
    paths = dict.fromkeys(egress.path for egress in egresses)
    return sorted(paths, key=lambda path: (path.rank, choices.index(path.choice)))


def _tree(graph: BackboneGraph, egress: Egress, known: dict[str, PathTree]) -> Tree:
    """The least-delay tree to ``egress``; ``known`` caches the tree to each router."""
    if egress.both:
        return _nearest(graph, egress)
    for end in egress.routers:
        if end not in graph.out and end not in known:
            known[end] = graph.path_tree(end)
    return tuple(known[end] for end in egress.routers if end in known)


def _nearest(graph: BackboneGraph, egress: Egress, cost: Floats | None = None) -> Tree:
    """The tree whose roots are all routers of ``egress`` that have not failed."""
    ends = [end for end in egress.routers if end not in graph.out]
    return (graph.path_tree(*ends, cost=cost),) if ends else ()


def _by_cost(placement: Placement, egress: Egress, cost: Floats) -> Tree:
    """The cheapest tree to ``egress`` ; ``cost`` is that of every arc in the direction towards it."""
    graph = placement.graph_for(egress.path)
    outwards = np.where(np.isfinite(graph.cost), cost, np.inf)[graph.arcs.opposite]
    if egress.both:
        return _nearest(graph, egress, outwards)
    return tuple(graph.path_tree(end, cost=outwards) for end in egress.routers if end not in graph.out)


def _within_capacity(placement: Placement, egress: Egress, shortest: Tree) -> Tree:
    """The shortest tree within capacity: arcs that it would use most beyond the limit are removed one at a time. The
    shortest tree of all where that leaves a router without a path, or only with one over what the class avoids."""
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
    """Placements of several rounds in which each of ``egresses`` in turn takes the tree that is cheapest under the load
    of all others."""
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
    """The placement by the linear program's solution: each router uses the arc with the most flow, unless that leads
    over something that is avoided."""
    placed = placement.copy()
    for egress, tree in least_utilisation(placement, egresses).trees.items():
        if all(a.serves_as_well_as(b) for a, b in zip(tree, placement.trees[egress.index], strict=True)):
            placed.put(egress, tree)
    return placed


def _least_utilised(first: Placement, others: Sequence[Placement]) -> Placement:
    """The placement with the least utilisation of its busiest arc; of equal ones the one with the least in total."""
    return min((first, *others), key=lambda each: (round(each.utilisation.max(initial=0.0), 6), each.utilisation.sum()))
