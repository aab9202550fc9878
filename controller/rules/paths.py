"""Paths, and a precomputed detour for every hop of every path.

Each egress set has one tree of paths (policies/paths/placement.py). If a router's port on that tree goes down, the
router itself puts the packet on a detour with a label of its own: a path in the network without the elements that may
have failed (the neighbour's PoP, the links in the same shared-risk group). A packet on a detour is not rerouted again,
so it cannot loop: it follows one tree, then a second one to its end. Related work: loop-free alternates (RFC 5286,
RFC 7490) and not-via addresses (RFC 6981), where the label also identifies what is avoided.

Pure: network, egress sets and failures in, hops out. Ties are broken deterministically.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from helsewan.policies.paths.disjoint_paths import PathLinks
from helsewan.policies.paths.placed_trees import Placement
from helsewan.policies.paths.placement import place
from helsewan.policies.plan import NO_TRAFFIC, Egress, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph, PathTree
from helsewan.topology.model import AccessLinkId, Link, Network


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed links (ids), routers (ids) and access links of dual-homed sites. ``avoided`` are links that an operator
    took out of service: they are used only where there is no other path."""

    links: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()
    avoided: frozenset[str] = frozenset()
    access_links: frozenset[AccessLinkId] = frozenset()

    @property
    def core_only(self) -> Failures:
        """The failures without access links: those that paths through the core depend on."""
        return replace(self, access_links=frozenset())


@dataclass(frozen=True, slots=True)
class Avoid:
    """The elements that a detour avoids. Links that end at an avoided router are not listed."""

    routers: frozenset[str]
    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class Detour:
    """A path to router ``end`` that avoids ``avoid``."""

    avoid: Avoid
    end: str


@dataclass(frozen=True, slots=True)
class Repair:
    """Local repair of a packet whose next hop has failed: the router sends it over ``link`` with the label of detour
    number ``detour``; if both are None, it delivers the packet itself, as it is in the egress set too."""

    detour: int | None
    link: str | None


@dataclass(frozen=True)
class Paths:
    """Forwarding for one state of the network. Keys are (router id, egress index) unless stated otherwise.

    ``target`` is the egress router that packets are sent to, absent where none can be reached; ``primary`` the link to
    the next hop, absent at the target; ``repair`` the local repair, absent where there is none. An egress set may need
    several trees (disjoint paths): ``entry_tree`` is then the number of the tree for packets that enter at a router.
    These numbers are above all egress indices and replace them in keys. ``detours`` lists the detours by number;
    ``detour_hops`` has the link to the next hop of each by router id.
    """

    target: dict[tuple[str, int], str]
    primary: dict[tuple[str, int], str]
    repair: dict[tuple[str, int], Repair]
    detours: tuple[Detour, ...]
    detour_hops: tuple[dict[str, str], ...]
    entry_tree: dict[tuple[str, int], int] = field(default_factory=dict)


def compute_paths(
    network: Network,
    egresses: tuple[Egress, ...],
    failures: Failures = Failures(),
    traffic: Traffic = NO_TRAFFIC,
) -> Paths:
    """The paths to every egress set by its path algorithm, and the local repair of every hop that has one.

    ``traffic`` is the demand that algorithms for utilisation place."""
    return _Computation(network, egresses, failures, traffic).run()


@dataclass
class _Computation:
    """One run of `compute_paths`. Detours are numbered in the order in which they are found; path trees in reduced
    networks are computed on first use. Least-delay paths are unique and the same in both directions
    (backbone_graph.py), so the paths of a detour computed at different routers form one tree to its end."""

    network: Network
    egresses: tuple[Egress, ...]
    failures: Failures
    traffic: Traffic
    detours: dict[Detour, int] = field(default_factory=dict)
    detour_hops: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        failed = self.failures
        self.graph = BackboneGraph(self.network).avoiding(failed.avoided).without(failed.links, failed.routers)
        self.reduced: dict[Avoid, BackboneGraph] = {}
        self.routers = [r.id for r in self.network.routers if r.id not in self.failures.routers]

    def run(self) -> Paths:
        """Computes all targets, primary hops and repairs."""
        target: dict[tuple[str, int], str] = {}
        primary: dict[tuple[str, int], str] = {}
        repair: dict[tuple[str, int], Repair] = {}
        placement = place(self.graph, self.egresses, self.traffic)
        entry_tree, branches = self.branches(placement, target)
        for router in self.routers:
            reached_over: dict[str, list[Egress]] = {}
            for branch, hops in branches:
                if link := hops.get(router):
                    primary[router, branch.index] = link
                    reached_over.setdefault(link, []).append(branch)
            for egress in self.egresses:
                key = router, egress.index
                trees = placement.trees.get(egress.index, ())
                tree = next((each for each in trees if each.reaches(router)), None)
                if tree is None:
                    continue
                target[key] = tree.root_of(router)
                if target[key] != router:
                    primary[key] = tree.link_at(router)
                    reached_over.setdefault(primary[key], []).append(egress)
            for link, egresses in reached_over.items():
                for egress, found in self.repairs(router, self.network.link[link], egresses):
                    repair[router, egress.index] = found
        return Paths(target, primary, repair, tuple(self.detours), tuple(self.detour_hops), entry_tree)

    def branches(
        self, placement: Placement, target: dict[tuple[str, int], str]
    ) -> tuple[dict[tuple[str, int], int], list[tuple[Egress, PathLinks]]]:
        """Of egress sets with several trees: `Paths.entry_tree`, and each tree as an egress set of its own with its
        hops. Adds their targets to ``target``. A tree keeps its number while the number of trees does not decrease."""
        entry_tree, trees = dict[tuple[str, int], int](), list[tuple[Egress, PathLinks]]()
        first_free = 1 + max((egress.index for egress in self.egresses), default=0)
        for egress in (egress for egress in self.egresses if egress.index in placement.disjoint):
            found = placement.disjoint[egress.index]
            target.update(((end, egress.index), end) for end in found.ends)
            numbers = [egress.index + (i + 1) * first_free for i in range(len(found.hops))]
            entry_tree.update(((router, egress.index), numbers[i]) for router, i in found.begins.items())
            for i, hops in enumerate(found.hops):
                tree = replace(egress, index=numbers[i])
                trees.append((tree, hops))
                target.update(((router, tree.index), found.end(self.network, i, router)) for router in hops)
        return entry_tree, trees

    def repairs(self, router: str, link: Link, egresses: list[Egress]) -> Iterator[tuple[Egress, Repair]]:
        """For each egress set, the repair at ``router`` for the failure of ``link`` that avoids most."""
        for avoid in self.avoid_candidates(router, link):
            tree, unrepaired = self.path_tree(avoid, router), []
            for egress in egresses:
                end = next((end for end in egress.routers if tree.reaches(end) and end not in avoid.routers), None)
                if end is None:
                    unrepaired.append(egress)
                elif end == router:
                    yield egress, Repair(None, None)
                else:
                    number = self.detour(tree, avoid, router, end)
                    yield egress, Repair(number, self.detour_hops[number][router])
            egresses = unrepaired
            if not egresses:
                return

    def path_tree(self, avoid: Avoid, router: str) -> PathTree:
        """The shortest paths from ``router`` in the network without the failures and without ``avoid``."""
        if avoid not in self.reduced:
            self.reduced[avoid] = self.graph.without(avoid.links, avoid.routers)
        return self.reduced[avoid].path_tree(router)

    def detour(self, tree: PathTree, avoid: Avoid, router: str, end: str) -> int:
        """The number of the detour to ``end`` that avoids ``avoid``; records its hops from ``router`` on."""
        number = self.detours.setdefault(Detour(avoid, end), len(self.detours))
        if number == len(self.detour_hops):
            self.detour_hops.append({})
        if router not in self.detour_hops[number]:
            self.detour_hops[number].update(tree.hops(end))
        return number

    def avoid_candidates(self, router: str, link: Link) -> Iterator[Avoid]:
        """The sets of elements that a detour at ``router`` around ``link`` can avoid, largest first."""
        neighbour = link.other(router)
        pop = frozenset(self.network.pop_of(neighbour).routers) - {router}
        shared = frozenset({link.id}).union(*(self.links_by_srlg[group] for group in link.srlg))
        seen: set[Avoid] = set()
        for routers in (pop, frozenset({neighbour}), frozenset[str]()):
            for links in (shared, frozenset({link.id})):
                ends_elsewhere = (i for i in links if not routers & {self.network.link[i].a, self.network.link[i].b})
                avoid = Avoid(routers, frozenset(ends_elsewhere))
                if avoid not in seen:
                    seen.add(avoid)
                    yield avoid

    @cached_property
    def links_by_srlg(self) -> dict[str, list[str]]:
        """The link ids of every shared-risk link group."""
        found: dict[str, list[str]] = {}
        for link in self.network.links:
            for group in link.srlg:
                found.setdefault(group, []).append(link.id)
        return found
