"""Paths that share no risk with the paths of other classes between the same routers.

The paths of the other classes are given. Each router gets the shortest path in the network without the risks of those,
as CSPF finds a secondary path beside a primary one (exclusions as in RFC 4090 and RFC 4874). One tree cannot hold such
paths: in the tree of the others all neighbours of an end reach it directly, so that a second tree could begin at none
of them. So paths are merged into several trees, each into the first that it is consistent with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helsewan.policies.plan import Egress, PathAlgorithm, Risk
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.model import Link, Network

PathLinks = dict[str, str]  # router -> its outgoing link; in path order, without the last router


@dataclass(frozen=True)
class DisjointTrees:
    """Trees to one egress set. ``hops`` maps, for each tree, routers to outgoing links ("" at an end). ``begins`` is
    the tree of traffic that enters at a router; ``ends`` are routers of the set; ``sharing`` are those without a
    disjoint path."""

    hops: tuple[PathLinks, ...]
    begins: dict[str, int]
    ends: frozenset[str]
    sharing: frozenset[str]

    def end(self, network: Network, tree: int, router: str) -> str:
        """The end that a tree leads to from a router on it."""
        while link := self.hops[tree][router]:
            router = network.link[link].other(router)
        return router

    def path(self, network: Network, router: str) -> PathLinks | None:
        """The path of traffic that enters at a router; None where there is no path."""
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
    """Paths to ``egress`` disjoint from ``others``, each of which has the paths to the same set by router. A router
    without a disjoint path gets the shortest one. Unless both ends are in use, paths lead to the end of the others."""
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
    """The last router of a path from ``router``."""
    if not path:
        return router
    last, link = list(path.items())[-1]
    return network.link[link].other(last)


def _shared_risks(
    network: Network, path: PathAlgorithm, router: str, other_paths: Sequence[PathLinks]
) -> tuple[frozenset[str], frozenset[str]]:
    """(links, routers) that a path disjoint from ``other_paths`` must not use. The PoPs at its ends are allowed, and so
    are interconnects between two routers of one PoP."""
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
    """The shortest path from ``router`` to one of ``ends``; if ``clean``, over nothing avoided. None: there is none."""
    paths, position = graph.path_tree(router), graph.arcs.position
    reached = [end for end in ends if paths.reaches(end) and not (clean and position[end] in paths.last_resort)]
    if not reached:
        return None
    backwards = paths.hops(min(reached, key=lambda end: paths.distance[position[end]]))
    return dict(reversed(backwards.items()))


def _merged_into_trees(
    network: Network, found: dict[str, PathLinks], ends: frozenset[str], sharing: frozenset[str]
) -> DisjointTrees:
    """Merge paths into trees: each joins the first tree in which its routers have the same outgoing links. The longest
    come first, as the paths of routers on them are often a part of them."""
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
