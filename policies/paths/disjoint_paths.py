"""PathTree that share nothing with those of other classes between the same routers.

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

PathLinks = dict[str, str]  # router -> the link it sends on; in order, and without the end


@dataclass(frozen=True)
class DisjointTrees:
    """Trees to one egress set: ``hops`` has for each the link to take by router, "" at an end. ``begins`` is the tree
    of what enters at a router; ``ends`` are routers of the set. ``sharing`` are the routers that had no way apart."""

    hops: tuple[PathLinks, ...]
    begins: dict[str, int]
    ends: frozenset[str]
    sharing: frozenset[str]

    def end(self, network: Network, tree: int, router: str) -> str:
        """Where a tree leads from a router on it."""
        while link := self.hops[tree][router]:
            router = network.link[link].other(router)
        return router

    def path(self, network: Network, router: str) -> PathLinks | None:
        """The way of what enters at a router; None where none leads there."""
        if router in self.ends:
            return {}
        if router not in self.begins:
            return None
        tree, path = self.hops[self.begins[router]], dict[str, str]()
        while link := tree[router]:
            path[router] = link
            router = network.link[link].other(router)
        return path


def disjoint_trees(graph: BackboneGraph, egress: Egress, others: Sequence[dict[str, PathLinks]]) -> DisjointTrees:
    """The ways to ``egress`` apart from ``others``, which are ways to the same set by router. A router that has none
    shares what it must. Where not both ends are in use, a way leads to the same end as the others' do."""
    network, found, sharing = graph.arcs.network, dict[str, PathLinks](), set[str]()
    ends = frozenset(router for router, path in others[0].items() if not path)
    reduced: dict[tuple[frozenset[str], frozenset[str]], BackboneGraph] = {}
    for router in others[0].keys() - ends:
        other_paths = [paths[router] for paths in others]
        candidates = sorted(ends) if egress.both else [_end_of(network, router, other_paths[0])]
        risks = _shared_risks(network, egress.path, router, other_paths)
        if risks not in reduced:
            reduced[risks] = graph.without(*risks)
        path = _shortest(reduced[risks], router, candidates, clean=True)
        if path is None:
            sharing.add(router)
            path = _shortest(graph, router, candidates)
        found[router] = path or other_paths[0]
    return _merged_into_trees(network, found, ends, frozenset(sharing))


def _end_of(network: Network, router: str, path: PathLinks) -> str:
    """Where a way from ``router`` leads."""
    if not path:
        return router
    last, link = list(path.items())[-1]
    return network.link[link].other(last)


def _shared_risks(
    network: Network, path: PathAlgorithm, router: str, other_paths: Sequence[PathLinks]
) -> tuple[frozenset[str], frozenset[str]]:
    """(links, routers) that a way apart from ``theirs`` does not take. Towns at its ends it may go through, and a cable
    between two routers of one town is no fibre."""
    taken = {link for path in other_paths for link in path.values() if not _within_pop(network, network.link[link])}
    links, between = set(taken), set[str]()
    if Risk.SRLG in path.disjoint_in:
        groups = {group for link in taken for group in network.link[link].srlg}
        links |= {link.id for link in network.links if not groups.isdisjoint(link.srlg)}
    if Risk.POPS in path.disjoint_in:
        at_ends = {router, *(_end_of(network, router, path) for path in other_paths)}
        pops = {network.router[each].pop for path in other_paths for each in path}
        pops -= {network.router[each].pop for each in at_ends}
        between = {each for pop_id in pops for each in network.pop[pop_id].routers}
    return frozenset(links), frozenset(between)


def _within_pop(network: Network, link: Link) -> bool:
    return network.router[link.a].pop == network.router[link.b].pop


def _shortest(graph: BackboneGraph, router: str, ends: Sequence[str], *, clean: bool = False) -> PathLinks | None:
    """The shortest way from ``router`` to one of ``ends``; if it is to be ``clean``, over nothing that is avoided."""
    paths, position = graph.path_tree(router), graph.arcs.position
    reached = [end for end in ends if paths.reaches(end) and not (clean and position[end] in paths.last_resort)]
    if not reached:
        return None
    backwards = paths.hops(min(reached, key=lambda end: paths.distance[position[end]]))
    return dict(reversed(backwards.items()))


def _merged_into_trees(
    network: Network, found: dict[str, PathLinks], ends: frozenset[str], sharing: frozenset[str]
) -> DisjointTrees:
    """PathTree put together to trees: each joins the first in which no router on it sends elsewhere. The longest come
    first: ways of routers on them are often a part of them."""
    trees, begins = list[PathLinks](), dict[str, int]()
    for router, path in sorted(found.items(), key=lambda each: (-len(each[1]), each[0])):
        whole = {**path, _end_of(network, router, path): ""}
        fits = (i for i, tree in enumerate(trees) if all(tree.get(at, link) == link for at, link in whole.items()))
        number = next(fits, len(trees))
        if number == len(trees):
            trees.append({})
        trees[number].update(whole)
        begins[router] = number
    return DisjointTrees(tuple(trees), begins, ends, sharing)
