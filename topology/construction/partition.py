"""Partition of a backbone into connected regions of about equal size, for networks that do not define regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush

import networkx as nx

from helsewan.topology.construction.backbone import Backbone, neighbours
from helsewan.topology.construction.geo import midpoint
from helsewan.topology.model import Pop, Region

Parts = list[list[str]]

REGIONS_REMARK = "assumed: regions: connected parts of about equal size"


def regional(core: Backbone) -> Backbone:
    """``core``, which must be connected, with a region assigned to each PoP.

    There are as many connected parts as regions, or as PoPs if there are fewer, named by their relative positions.
    Ties are broken by id.
    """
    graph = neighbours(core)
    parts = _grow(graph, _spread(graph, min(len(Region), len(graph))))
    named = _named(parts, {pop.id: pop for pop in core.pops})
    of = {pop: region for region, part in named.items() for pop in part}
    return replace(core, pops=tuple(replace(pop, region=of[pop.id]) for pop in core.pops))


def _spread(graph: nx.Graph, count: int) -> list[str]:
    """``count`` PoPs far from each other: the best-connected, then repeatedly the one farthest from those chosen."""
    chosen = [min(graph, key=lambda pop: (-graph.degree(pop), pop))]
    nearest: dict[str, int] = dict.fromkeys(graph, 1 << 62)
    while len(chosen) < count:
        for pop, delay_us in nx.single_source_dijkstra_path_length(graph, chosen[-1], weight="delay_us").items():
            nearest[pop] = min(nearest[pop], delay_us)
        chosen.append(min((pop for pop in graph if pop not in chosen), key=lambda pop: (-nearest[pop], pop)))
    return chosen


def _grow(graph: nx.Graph, seeds: Sequence[str]) -> Parts:
    """Grow parts from ``seeds``: repeatedly, the smallest part takes the adjacent PoP nearest to its seed."""
    parts: Parts = [[] for _ in seeds]
    owned: set[str] = set(seeds)
    fronts: list[list[tuple[int, str]]] = [[] for _ in seeds]

    def take(number: int, delay_us: int, pop: str) -> None:
        parts[number].append(pop)
        for neighbour in graph[pop]:
            heappush(fronts[number], (delay_us + graph.edges[pop, neighbour]["delay_us"], neighbour))

    for number, seed in enumerate(seeds):
        take(number, 0, seed)
    growing = set(range(len(seeds)))
    while growing:
        number = min(growing, key=lambda part: (len(parts[part]), part))
        while fronts[number] and fronts[number][0][1] in owned:
            heappop(fronts[number])
        if fronts[number]:
            delay_us, pop = heappop(fronts[number])
            owned.add(pop)
            take(number, delay_us, pop)
        else:
            growing.discard(number)
    return parts


def _named(parts: Parts, pops: Mapping[str, Pop]) -> dict[Region, list[str]]:
    """Regions of parts: the northernmost is Nord, then the southernmost Sør, the easternmost Øst, the westernmost Vest,
    and the last Midt-Norge."""
    middles = [midpoint((pops[pop].lat, pops[pop].lon) for pop in part) for part in parts]
    left = set(range(len(parts)))
    named: dict[Region, list[str]] = {}
    extremes = ((Region.NORD, 0, 1), (Region.SOR, 0, -1), (Region.OST, 1, 1), (Region.VEST, 1, -1), (Region.MIDT, 0, 1))
    for region, axis, sign in extremes:
        if left:
            part = max(left, key=lambda number: (sign * middles[number][axis], -number))
            named[region] = parts[part]
            left.discard(part)
    return named
