"""The least possible utilisation of the fullest fibre, by linear programming, and trees that come near it.

The arc-based multi-commodity program (Ahuja, Magnanti, Orlin, "Network Flows", 17.1), one commodity for each router
that demand is led to, or set of routers where the nearest will do:

    minimise   u + small * sum of flow * delay
    subject to, for each end t and router v != t:  flow out of v - flow into v  =  demand of v for t
               for each arc a:                     sum of flow on a             <= u * rate of a - load there is
               flow >= 0

The solution may split demand; switches do not. Its ``bound`` is what no choice of paths can undercut, its trees lead
every router's demand where most of it goes in the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, hstack, identity, kron

from helsewan.policies.paths.placed_trees import Placement, Tree
from helsewan.policies.plan import Egress
from helsewan.topology.graph.backbone_graph import Flags, Floats, Ways

_TIE = 1e-3  # the delays' part of the objective, against 1 for the utilisation
_NO_FLOW = 1e-6  # of the largest demand; less is a rounding error of the solver


@dataclass(frozen=True)
class Levelled:
    """``bound``: the least utilisation of the fullest arc; ``trees`` for the egress sets that were asked for."""

    bound: float
    trees: dict[Egress, Tree]


def least_utilisation(placement: Placement, egresses: Sequence[Egress]) -> Levelled:
    """Solves the program for the demand of ``egresses``, on top of the load of all others in ``placement``."""
    firsts = (tree[0] for egress in egresses if (tree := placement.trees.get(egress.index, ())))
    ends = list({ways.roots: ways for ways in firsts}.values())
    alike = len({egress.path for egress in egresses}) == 1  # else what one class avoids is open to others
    index = {ways.roots: number for number, ways in enumerate(ends)}
    background = placement.load_bps.copy()
    demand = np.zeros((len(ends), len(placement.fibres.arcs.routers)))
    for egress in egresses:
        tree = placement.trees.get(egress.index, ())
        if not tree:
            continue
        background -= placement.load(egress, tree[:1])
        for place, rate in placement.sources.get(egress.index, ()):
            demand[index[tree[0].roots], place] += rate if tree[0].reaches_place(place) else 0
    barred = [ways.fibres.costly_from(ways.roots) & (alike and not ways.strays) for ways in ends]
    bound, flow = _solve(placement, ends, demand, np.maximum(background, 0.0), barred)
    towards = {ways.roots: _along(ways, flow[number]) for number, ways in enumerate(ends)}
    trees = {egress: placement.trees.get(egress.index, ()) for egress in egresses}
    return Levelled(bound, {egress: (towards[t[0].roots], *t[1:]) if t else t for egress, t in trees.items()})


def _solve(
    placement: Placement, ends: Sequence[Ways], demand: Floats, background: Floats, barred: Sequence[Flags]
) -> tuple[float, Floats]:
    """(utilisation, flow by end and arc in bit/s); for each end some arcs, outwards from it, are ``barred``."""
    arcs, usable = placement.fibres.arcs, np.flatnonzero(np.isfinite(placement.fibres.cost))
    rate: Floats = placement.rate_bps[usable]
    unit = rate.max(initial=1.0)  # flows near 1 keep the solver exact
    size, count = len(usable), len(ends)
    begin, end = np.array([arcs.ends[arc] for arc in usable], dtype=np.intp).reshape(-1, 2).T
    rows, columns = np.concatenate([begin, end]), np.tile(np.arange(size), 2)
    balance = csr_array(coo_array((np.repeat([1.0, -1.0], size), (rows, columns)), shape=(len(arcs.routers), size)))
    kept = [np.setdiff1d(np.arange(len(arcs.routers)), list(ways.root_places)) for ways in ends]
    every = kron(identity(count, format="csr"), balance, format="csr")
    chosen = np.concatenate([rows + number * len(arcs.routers) for number, rows in enumerate(kept)])
    conserved = hstack([every[chosen], csr_array((len(chosen), 1))], format="csr")
    within = hstack([kron(np.ones((1, count)), identity(size)), csr_array(-rate.reshape(-1, 1) / unit)], format="csr")
    delay = placement.fibres.cost[usable]
    tie = _TIE * delay / (delay.max(initial=1.0) * max(demand.sum() / unit, 1.0) * max(len(arcs.routers), 1))
    closed = np.concatenate([arcs[placement.fibres.arcs.opposite][usable] for arcs in barred] or [np.zeros(0, bool)])
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
    flow = np.zeros((count, len(placement.fibres.cost)))
    flow[:, usable] = found.x[:-1].reshape(count, size) * unit
    return float(found.x[-1]), flow


def _along(ways: Ways, flow: Floats) -> Ways:
    """A tree to the roots of ``ways`` along the arcs with the most flow, with routers that send nothing joined by the
    least delay. Flow that costs runs in no circle, so neither does the tree."""
    fibres = ways.fibres
    best: dict[int, tuple[float, int]] = {}
    for arc in np.flatnonzero(flow > _NO_FLOW * max(flow.max(initial=0.0), 1.0)):
        begin, _ = fibres.arcs.ends[arc]
        best[begin] = max(best.get(begin, (0.0, -1)), (float(flow[arc]), int(arc)))
    taken = np.array([best.get(begin, (0.0, arc))[1] == arc for arc, (begin, _) in enumerate(fibres.arcs.ends)])
    along = fibres.ways(*ways.roots, cost=np.where(taken, fibres.cost, np.inf)[fibres.arcs.opposite])
    return along if len(along.farthest_first) == len(ways.farthest_first) else ways
