"""Ways that share nothing with those of other classes between the same routers.

The other classes' ways stay as they are. Each router gets the shortest way in what is left of the network without the
risks of theirs, as CSPF finds a secondary path beside a primary one (RFC 4090 and RFC 4874 have the exclusion). No one
tree holds such ways: all neighbours of an end lead to it directly in the others' tree, so in a second tree none could
begin. They are put together to a few trees, each way to the first that it fits in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helsewan.policies.plan import Egress, PathAlgorithm, Risk
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.model import Link, Network

Way = dict[str, str]  # router -> the link it sends on; in order, and without the end


@dataclass(frozen=True)
class Branches:
    """Trees to one egress set: ``hops`` has for each the link to take by router, "" at an end. ``begins`` is the tree
    of what enters at a router; ``ends`` are routers of the set. ``sharing`` are the routers that had no way apart."""

    hops: tuple[Way, ...]
    begins: dict[str, int]
    ends: frozenset[str]
    sharing: frozenset[str]

    def end(self, network: Network, tree: int, router: str) -> str:
        """Where a tree leads from a router on it."""
        while link := self.hops[tree][router]:
            router = network.link[link].other(router)
        return router

    def way(self, network: Network, router: str) -> Way | None:
        """The way of what enters at a router; None where none leads there."""
        if router in self.ends:
            return {}
        if router not in self.begins:
            return None
        tree, way = self.hops[self.begins[router]], dict[str, str]()
        while link := tree[router]:
            way[router] = link
            router = network.link[link].other(router)
        return way


def branches(fibres: BackboneGraph, egress: Egress, others: Sequence[dict[str, Way]]) -> Branches:
    """The ways to ``egress`` apart from ``others``, which are ways to the same set by router. A router that has none
    shares what it must. Where not both ends are in use, a way leads to the same end as the others' do."""
    network, found, sharing = fibres.arcs.network, dict[str, Way](), set[str]()
    ends = frozenset(router for router, way in others[0].items() if not way)
    reduced: dict[tuple[frozenset[str], frozenset[str]], BackboneGraph] = {}
    for router in others[0].keys() - ends:
        theirs = [ways[router] for ways in others]
        leading = sorted(ends) if egress.both else [_end_of(network, router, theirs[0])]
        risks = _risks(network, egress.path, router, theirs)
        if risks not in reduced:
            reduced[risks] = fibres.without(*risks)
        way = _shortest(reduced[risks], router, leading, clean=True)
        if way is None:
            sharing.add(router)
            way = _shortest(fibres, router, leading)
        found[router] = way or theirs[0]
    return _together(network, found, ends, frozenset(sharing))


def _end_of(network: Network, router: str, way: Way) -> str:
    """Where a way from ``router`` leads."""
    if not way:
        return router
    last, link = list(way.items())[-1]
    return network.link[link].other(last)


def _risks(
    network: Network, path: PathAlgorithm, router: str, theirs: Sequence[Way]
) -> tuple[frozenset[str], frozenset[str]]:
    """(links, routers) that a way apart from ``theirs`` does not take. Towns at its ends it may go through, and a cable
    between two routers of one town is no fibre."""
    taken = {link for way in theirs for link in way.values() if not _in_town(network, network.link[link])}
    links, between = set(taken), set[str]()
    if Risk.SRLG in path.apart_in:
        groups = {group for link in taken for group in network.link[link].srlg}
        links |= {link.id for link in network.links if not groups.isdisjoint(link.srlg)}
    if Risk.POPS in path.apart_in:
        at_ends = {router, *(_end_of(network, router, way) for way in theirs)}
        towns = {network.router[each].pop for way in theirs for each in way}
        towns -= {network.router[each].pop for each in at_ends}
        between = {each for town in towns for each in network.pop[town].routers}
    return frozenset(links), frozenset(between)


def _in_town(network: Network, link: Link) -> bool:
    return network.router[link.a].pop == network.router[link.b].pop


def _shortest(fibres: BackboneGraph, router: str, ends: Sequence[str], *, clean: bool = False) -> Way | None:
    """The shortest way from ``router`` to one of ``ends``; if it is to be ``clean``, over nothing that is avoided."""
    ways, position = fibres.ways(router), fibres.arcs.position
    reached = [end for end in ends if ways.reaches(end) and not (clean and position[end] in ways.strays)]
    if not reached:
        return None
    backwards = ways.hops(min(reached, key=lambda end: ways.far[position[end]]))
    return dict(reversed(backwards.items()))


def _together(network: Network, found: dict[str, Way], ends: frozenset[str], sharing: frozenset[str]) -> Branches:
    """Ways put together to trees: each joins the first in which no router on it sends elsewhere. The longest come
    first: ways of routers on them are often a part of them."""
    trees, begins = list[Way](), dict[str, int]()
    for router, way in sorted(found.items(), key=lambda each: (-len(each[1]), each[0])):
        whole = {**way, _end_of(network, router, way): ""}
        fits = (i for i, tree in enumerate(trees) if all(tree.get(at, link) == link for at, link in whole.items()))
        number = next(fits, len(trees))
        if number == len(trees):
            trees.append({})
        trees[number].update(whole)
        begins[router] = number
    return Branches(tuple(trees), begins, ends, sharing)
