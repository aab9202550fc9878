"""The backbone: PoPs, their routers, and the links between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx as nx

from helsewan.common.errors import InputError, Problem
from helsewan.topology.construction.geo import bearing_deg, great_circle_km
from helsewan.topology.model import Link, Pop, Router
from helsewan.topology.national.reference_data import Detour, ReferenceData, Town

# While paths change, a router may need two detours to every other, each with its own label: twice the square of the
# number of routers must fit into the transport labels, 10,000 to 2**20 (controller/rules/label_rules.py).
LABELS_PER_PAIR = 2
FIRST_LABEL, LABELS = 10_000, 2**20  # of a detour; all labels have 20 bits (RFC 3032, 2.1)
MAX_ROUTERS = 700  # that can be emulated
MAX_LINKS = 9_000  # worst case, all at one router: link ports are numbered below 10,000 (emulation/routers/switches.py)
MOST_SHOWN_ROUTERS, MOST_SHOWN_LINKS = 5_000, 50_000  # that are read, shown and exported: beyond, it takes minutes


@dataclass(frozen=True)
class Backbone:
    """A network without its sites: PoPs, routers and links; ``operations`` as in ``model.Network``."""

    pops: tuple[Pop, ...]
    routers: tuple[Router, ...]
    links: tuple[Link, ...]
    operations: str = ""


def build(data: ReferenceData, swedish_route: bool = False) -> Backbone:
    """The backbone of the reference data.

    In a town with two routers, an interconnect joins them, and the town's links, sorted by bearing, are assigned to
    them alternately, so that neighbouring directions end at different routers.
    """
    towns = {town.id: town for town in data.towns}
    pops = tuple(
        Pop(town.id, town.name, town.region, town.lat, town.lon, router_ids(town.id, town.routers))
        for town in data.towns
    )
    names = [(router, pop.id) for pop in pops for router in pop.routers]
    routers = tuple(Router(router, pop, index) for index, (router, pop) in enumerate(names, start=1))
    ends = _deal(pops, towns, [(link.id, link.a, link.b) for link in data.links])
    links = [
        Link(
            link.id,
            ends[link.id, link.a],
            ends[link.id, link.b],
            link.rate_bps,
            round(link.fibre_km * data.fibre_us_per_km),
            link.fibre_km,
            (link.srlg,),
        )
        for link in data.links
    ]
    links += [_interconnect(pop, data) for pop in pops if len(pop.routers) == 2]
    if swedish_route:
        links.append(_detour_link(data.swedish_route, {pop.id: pop for pop in pops}, data.fibre_us_per_km))
    return Backbone(pops, routers, tuple(links), data.operations)


def check_size(where: str, routers: int, links: int) -> None:
    """Raise ``InputError`` for more routers or links than are read from a file; ``where`` is the location."""
    counts = ((routers, MOST_SHOWN_ROUTERS, "routers"), (links, MOST_SHOWN_LINKS, "links"))
    problems = [
        Problem(where, number, f"{what} are too many", f"a network has {most} at most")
        for number, most, what in counts
        if number > most
    ]
    if problems:
        raise InputError(*problems)


def check_emulated_size(where: str, routers: int, links: int) -> None:
    """Raise ``InputError`` for more routers or links than labels and ports can number; ``where`` is the location."""
    problems = []
    if routers > MAX_ROUTERS:
        needed, there = LABELS_PER_PAIR * routers**2, LABELS - FIRST_LABEL
        reason = f"routers are too many for policies and emulation: their detours need {needed:,} labels of {there:,}"
        hint = f"{MAX_ROUTERS} at most; `helsewan topology show` and `export` take {MOST_SHOWN_ROUTERS}"
        problems.append(Problem(where, routers, reason, hint))
    if links > MAX_LINKS:
        hint = f"one router's ports are numbered for {MAX_LINKS}; `helsewan topology show` takes {MOST_SHOWN_LINKS}"
        problems.append(Problem(where, links, "links are too many for policies and emulation", hint))
    if problems:
        raise InputError(*problems)


def neighbours(core: Backbone) -> nx.Graph:
    """Graph of PoP ids, with an edge between PoPs that a link joins; ``delay_us`` is the least of parallel links."""
    graph = nx.Graph()
    graph.add_nodes_from(pop.id for pop in core.pops)
    pop_of = {router.id: router.pop for router in core.routers}
    for link in sorted(core.links, key=lambda link: -link.delay_us):  # of parallel links, the fastest is last and kept
        a, b = pop_of[link.a], pop_of[link.b]
        if a != b:
            graph.add_edge(a, b, delay_us=link.delay_us)
    return graph


def router_ids(pop: str, routers: int) -> tuple[str, ...]:
    """Router ids of a PoP: ``molde`` for one router, ``oslo-1`` and ``oslo-2`` for two."""
    return (pop,) if routers == 1 else tuple(f"{pop}-{number}" for number in range(1, routers + 1))


def _deal(
    pops: Iterable[Pop], towns: Mapping[str, Town], links: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str], str]:
    """The router at each end of each link, by (link id, town id)."""
    arriving: dict[str, list[tuple[float, str]]] = {pop.id: [] for pop in pops}
    for link, a, b in links:
        for here, there in ((towns[a], towns[b]), (towns[b], towns[a])):
            arriving[here.id].append((bearing_deg(here.lat, here.lon, there.lat, there.lon), link))
    return {
        (link, pop.id): pop.routers[turn % len(pop.routers)]
        for pop in pops
        for turn, (_, link) in enumerate(sorted(arriving[pop.id]))
    }


def _interconnect(pop: Pop, data: ReferenceData) -> Link:
    first, second = pop.routers
    delay_us = round(data.interconnect_km * data.fibre_us_per_km)
    return Link(f"{first}--{second}", first, second, data.interconnect_bps, delay_us, data.interconnect_km)


def _detour_link(detour: Detour, pops: Mapping[str, Pop], us_per_km: float) -> Link:
    """The link through the place abroad, between the first routers of both towns."""
    a, b = pops[detour.a], pops[detour.b]
    halves = (great_circle_km(end.lat, end.lon, detour.lat, detour.lon) for end in (a, b))
    fibre_km = round(sum(halves) * detour.routing_factor, 1)
    delay_us = round(fibre_km * us_per_km)
    return Link(f"{a.id}-{b.id}", a.routers[0], b.routers[0], detour.rate_bps, delay_us, fibre_km, ("sweden",))
