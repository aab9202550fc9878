"""The least possible utilisation of the busiest link, by linear programming, and trees that approximate it.

The arc-based multi-commodity program (Ahuja, Magnanti, Orlin, "Network Flows", 17.1), one commodity for each
egress router, or set of routers of which the nearest is used:

    minimise   u + small * sum of flow * delay
    subject to, for each end t and router v != t:  flow out of v - flow into v  =  demand of v for t
               for each arc a:                     sum of flow on a             <= u * rate of a - load there is
               flow >= 0

The solution may split demand; switches do not. Its ``bound`` is a lower bound for every choice of paths; in its trees
each router uses the arc with the most flow in the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helsewan.policies.paths.placed_trees import Placement, Tree
from helsewan.policies.plan import Egress
from helsewan.topology.graph.backbone_graph import Flags, Floats, PathTree

_TIE = 1e-3  # weight of delay in the objective, against 1 for the utilisation
_NO_FLOW = 1e-6  # of the largest demand; less is a rounding error of the solver


@dataclass(frozen=True)
class MinMaxSolution:
    """``bound``: the least utilisation of the busiest arc; ``trees`` of the egress sets in question."""

    bound: float
    trees: dict[Egress, Tree]


def least_utilisation(placement: Placement, egresses: Sequence[Egress]) -> MinMaxSolution:
    """Solve the program for the demand of ``egresses``, on top of the load of all others in ``placement``."""
    firsts = (tree[0] for egress in egresses if (tree := placement.trees.get(egress.index, ())))
    ends = list({tree.roots: tree for tree in firsts}.values())
    alike = len({egress.path for egress in egresses}) == 1  # else links that one class avoids are open to others
    index = {tree.roots: number for number, tree in enumerate(ends)}
    background = placement.load_bps.copy()
    demand = np.zeros((len(ends), len(placement.graph.arcs.routers)))
    for egress in egresses:
        tree = placement.trees.get(egress.index, ())
        if not tree:
            continue
        background -= placement.load(egress, tree[:1])
        for node, rate in placement.sources.get(egress.index, ()):
            demand[index[tree[0].roots], node] += rate if tree[0].reaches_position(node) else 0
    forbidden = [tree.graph.costly_from(tree.roots) & (alike and not tree.last_resort) for tree in ends]
    bound, flow = _solve(placement, ends, demand, np.maximum(background, 0.0), forbidden)
    tree_to = {tree.roots: _tree_along(tree, flow[number]) for number, tree in enumerate(ends)}
    trees = {egress: placement.trees.get(egress.index, ()) for egress in egresses}
    return MinMaxSolution(bound, {egress: (tree_to[t[0].roots], *t[1:]) if t else t for egress, t in trees.items()})


def _solve(
    placement: Placement, ends: Sequence[PathTree], demand: Floats, background: Floats, forbidden: Sequence[Flags]
) -> tuple[float, Floats]:
    """(utilisation, flow by end and arc in bit/s); for each end, ``forbidden`` marks closed arcs, outwards from it."""
    # Here, for importing SciPy's solvers takes a third of a second, and most processes place nothing.
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, csr_array, hstack, identity, kron

    arcs, usable = placement.graph.arcs, np.flatnonzero(np.isfinite(placement.graph.cost))
    rate: Floats = placement.rate_bps[usable]
    unit = rate.max(initial=1.0)  # flows near 1 keep the solver exact
    size, count = len(usable), len(ends)
    begin, end = np.array([arcs.ends[arc] for arc in usable], dtype=np.intp).reshape(-1, 2).T
    rows, columns = np.concatenate([begin, end]), np.tile(np.arange(size), 2)
    balance = csr_array(coo_array((np.repeat([1.0, -1.0], size), (rows, columns)), shape=(len(arcs.routers), size)))
    kept = [np.setdiff1d(np.arange(len(arcs.routers)), list(tree.root_positions)) for tree in ends]
    every = kron(identity(count, format="csr"), balance, format="csr")
    chosen = np.concatenate([rows + number * len(arcs.routers) for number, rows in enumerate(kept)])
    conserved = hstack([every[chosen], csr_array((len(chosen), 1))], format="csr")
    within = hstack([kron(np.ones((1, count)), identity(size)), csr_array(-rate.reshape(-1, 1) / unit)], format="csr")
    delay = placement.graph.cost[usable]
    tie = _TIE * delay / (delay.max(initial=1.0) * max(demand.sum() / unit, 1.0) * max(len(arcs.routers), 1))
    closed = np.concatenate([arcs[placement.graph.arcs.opposite][usable] for arcs in forbidden] or [np.zeros(0, bool)])
    most = np.append(np.where(closed, 0.0, np.inf), np.inf)
    found = linprog(
        np.append(np.tile(tie, count), 1.0),
        A_ub=within,
        b_ub=-background[usable] / unit,
        A_eq=conserved,
        b_eq=demand.ravel()[chosen] / unit,
        bounds=np.column_stack([np.zeros(len(most)), most]),
        method="highs",
    )
    flow = np.zeros((count, len(placement.graph.cost)))
    flow[:, usable] = found.x[:-1].reshape(count, size) * unit
    return float(found.x[-1]), flow


def _tree_along(tree: PathTree, flow: Floats) -> PathTree:
    """A tree to the roots of ``ways`` along the arcs with the most flow, with routers that send nothing joined by the
    least delay. Flow that costs runs in no circle, so neither does the tree."""
    graph = tree.graph
    best: dict[int, tuple[float, int]] = {}
    for arc in np.flatnonzero(flow > _NO_FLOW * max(flow.max(initial=0.0), 1.0)):
        begin, _ = graph.arcs.ends[arc]
        best[begin] = max(best.get(begin, (0.0, -1)), (float(flow[arc]), int(arc)))
    taken = np.array([best.get(begin, (0.0, arc))[1] == arc for arc, (begin, _) in enumerate(graph.arcs.ends)])
    along = graph.path_tree(*tree.roots, cost=np.where(taken, graph.cost, np.inf)[graph.arcs.opposite])
    return along if len(along.farthest_first) == len(tree.farthest_first) else tree
