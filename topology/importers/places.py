"""Estimates coordinates for nodes without any, from those of their neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi, sin

import networkx as nx

from helsewan.topology.construction.geo import displaced, midpoint

Point = tuple[float, float]  # latitude, longitude

CIRCLE_CENTRE: Point = (63.99, 12.31)  # the centre of mainland Norway
CIRCLE_KM = 90.0  # within the range of ``displaced``


@dataclass(frozen=True)
class Places:
    """A point for every node. ``guessed``: nodes placed between neighbours. ``vague``: nodes placed for drawing only:
    distances are meaningless."""

    points: dict[str, Point]
    guessed: frozenset[str]
    vague: frozenset[str]


def place(graph: nx.Graph, known: Mapping[str, Point]) -> Places:
    """Points for all nodes of a connected ``graph``; ``known`` has those already given.

    A node with neighbours at two or more points is placed at their midpoint, repeatedly. Then a node with neighbours at
    a single point is placed there and is vague. If no point is known, all nodes are placed on a circle.
    """
    if not known:
        order = {node: number for number, node in enumerate(graph)}
        turns = {node: 2 * pi * number / len(order) for node, number in order.items()}
        circle = {
            node: displaced(*CIRCLE_CENTRE, CIRCLE_KM * cos(turn), CIRCLE_KM * sin(turn))
            for node, turn in turns.items()
        }
        return Places(circle, frozenset(), frozenset(circle))
    points = dict(known)
    vague: set[str] = set()
    while missing := [node for node in graph if node not in points]:
        around = {
            node: {points[neighbour]: None for neighbour in graph[node] if neighbour in points} for node in missing
        }
        between = {node: midpoint(near) for node, near in around.items() if len(near) > 1}
        beside = {} if between else {node: next(iter(near)) for node, near in around.items() if near}
        vague |= beside.keys()
        points |= between | beside
    return Places(points, frozenset(points.keys() - known.keys() - vague), frozenset(vague))
