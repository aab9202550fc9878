"""Paths, and a precomputed detour for every hop of every path.

Each egress set has one tree of paths (policies/paths/placement.py). Where a router's port on that tree goes down, the
router itself moves the packet on to a detour: a path in the network without what may have failed
(the neighbour's PoP, the links in the same shared-risk group), under a label of its own. A packet on
a detour is not repaired again, so it can go round in no circle: it follows one tree to its end,
then a second one to its end. Relatives of the idea: loop-free alternates (RFC 5286, RFC 7490) and
not-via addresses (RFC 6981), whose label also says what to avoid.

Pure: a network, egress sets and failures in, hops out. Ties fall the same way every time.
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
    """What cannot be used now: link ids, router ids, and access lines of dual-homed sites; and the links that somebody
    took out of service, which are ``avoided``: taken only where no other way leads."""

    links: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()
    avoided: frozenset[str] = frozenset()
    lines: frozenset[AccessLinkId] = frozenset()

    @property
    def of_core(self) -> Failures:
        """Those that paths through the core go by."""
        return replace(self, lines=frozenset())


@dataclass(frozen=True, slots=True)
class Avoid:
    """What a detour avoids. Links that end at an avoided router are not listed."""

    routers: frozenset[str]
    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class Detour:
    """A path to router ``end`` that avoids ``avoid``."""

    avoid: Avoid
    end: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What a router does with a packet whose next hop is gone: send it on ``link`` under detour number
    ``detour``, or, with neither, deliver it here (this router is in the egress set too)."""

    detour: int | None
    link: str | None


@dataclass(frozen=True)
class Paths:
    """Forwarding for one state of the network. Keys are (router id, egress index) unless said.

    ``target`` is the egress router a packet is led to, absent where none can be reached; ``primary``
    the link to take, absent at the target; ``repair`` the local repair, absent where there is none.
    Where one tree does not do for an egress set, ``begin`` names the tree that takes what enters at a router: the trees
    have numbers beyond all egress sets', which stand in their keys in place of the egress index.
    ``detours`` lists the detours by number; ``detour_hops`` has for each the link to take by router id.
    """

    target: dict[tuple[str, int], str]
    primary: dict[tuple[str, int], str]
    repair: dict[tuple[str, int], Repair]
    detours: tuple[Detour, ...]
    detour_hops: tuple[dict[str, str], ...]
    begin: dict[tuple[str, int], int] = field(default_factory=dict)


def compute_paths(
    network: Network,
    egresses: tuple[Egress, ...],
    failures: Failures = Failures(),
    traffic: Traffic = NO_TRAFFIC,
) -> Paths:
    """A tree to every egress set as it chooses, and a local repair for every hop that has one."""
    return _Computation(network, egresses, failures, traffic).run()


@dataclass
class _Computation:
    """One run. Detours are numbered as they come up; the ways from a router in a reduced network are found when
    first asked for. Least-delay paths are the same both ways and there is one only (fibres.py), so the ways that
    routers look up on their own make one tree to each end."""

    network: Network
    egresses: tuple[Egress, ...]
    failures: Failures
    traffic: Traffic
    detours: dict[Detour, int] = field(default_factory=dict)
    detour_hops: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        failed = self.failures
        self.fibres = BackboneGraph(self.network).avoiding(failed.avoided).without(failed.links, failed.routers)
        self.reduced: dict[Avoid, BackboneGraph] = {}
        self.routers = [r.id for r in self.network.routers if r.id not in self.failures.routers]

    def run(self) -> Paths:
        """All targets, primaries and repairs."""
        target: dict[tuple[str, int], str] = {}
        primary: dict[tuple[str, int], str] = {}
        repair: dict[tuple[str, int], Repair] = {}
        placement = place(self.fibres, self.egresses, self.traffic)
        begin, branches = self.branches(placement, target)
        for router in self.routers:
            behind: dict[str, list[Egress]] = {}
            for tree, hops in branches:
                if link := hops.get(router):
                    primary[router, tree.index] = link
                    behind.setdefault(link, []).append(tree)
            for egress in self.egresses:
                key = router, egress.index
                trees = placement.trees.get(egress.index, ())
                ways = next((ways for ways in trees if ways.reaches(router)), None)
                if ways is None:
                    continue
                target[key] = ways.root_of(router)
                if target[key] != router:
                    primary[key] = ways.link_at(router)
                    behind.setdefault(primary[key], []).append(egress)
            for link, egresses in behind.items():
                for egress, found in self.repairs(router, self.network.link[link], egresses):
                    repair[router, egress.index] = found
        return Paths(target, primary, repair, tuple(self.detours), tuple(self.detour_hops), begin)

    def branches(
        self, placement: Placement, target: dict[tuple[str, int], str]
    ) -> tuple[dict[tuple[str, int], int], list[tuple[Egress, PathLinks]]]:
        """(`Paths.begin`, trees as egress sets of their own with their hops) of egress sets that one tree does not do
        for; their targets are noted. A tree's number is the same as long as there are not fewer trees."""
        begin, trees = dict[tuple[str, int], int](), list[tuple[Egress, PathLinks]]()
        beyond = 1 + max((egress.index for egress in self.egresses), default=0)
        for egress in (egress for egress in self.egresses if egress.index in placement.disjoint):
            found = placement.disjoint[egress.index]
            target.update(((end, egress.index), end) for end in found.ends)
            numbers = [egress.index + (i + 1) * beyond for i in range(len(found.hops))]
            begin.update(((router, egress.index), numbers[i]) for router, i in found.begins.items())
            for i, hops in enumerate(found.hops):
                tree = replace(egress, index=numbers[i])
                trees.append((tree, hops))
                target.update(((router, tree.index), found.end(self.network, i, router)) for router in hops)
        return begin, trees

    def repairs(self, router: str, link: Link, egresses: list[Egress]) -> Iterator[tuple[Egress, Repair]]:
        """The repairs at ``router`` for the loss of ``link`` on the way to ``egresses``: the most careful there are."""
        for avoid in self.candidates(router, link):
            ways, left = self.ways(avoid, router), []
            for egress in egresses:
                end = next((end for end in egress.routers if ways.reaches(end) and end not in avoid.routers), None)
                if end is None:
                    left.append(egress)
                elif end == router:
                    yield egress, Repair(None, None)
                else:
                    number = self.detour(ways, avoid, router, end)
                    yield egress, Repair(number, self.detour_hops[number][router])
            egresses = left
            if not egresses:
                return

    def ways(self, avoid: Avoid, router: str) -> PathTree:
        """The ways from ``router`` in the network without the failures and without ``avoid``."""
        if avoid not in self.reduced:
            self.reduced[avoid] = self.fibres.without(avoid.links, avoid.routers)
        return self.reduced[avoid].path_tree(router)

    def detour(self, ways: PathTree, avoid: Avoid, router: str, end: str) -> int:
        """The number of the detour to ``end`` that keeps clear of ``avoid``; its hops from ``router`` noted."""
        number = self.detours.setdefault(Detour(avoid, end), len(self.detours))
        if number == len(self.detour_hops):
            self.detour_hops.append({})
        if router not in self.detour_hops[number]:
            self.detour_hops[number].update(ways.hops(end))
        return number

    def candidates(self, router: str, link: Link) -> Iterator[Avoid]:
        """What a detour at ``router`` for the loss of ``link`` may avoid, most careful first."""
        neighbour = link.other(router)
        pop = frozenset(self.network.pop_of(neighbour).routers) - {router}
        shared = frozenset({link.id}).union(*(self.at_risk[group] for group in link.srlg))
        seen: set[Avoid] = set()
        for routers in (pop, frozenset({neighbour}), frozenset[str]()):
            for links in (shared, frozenset({link.id})):
                ends_elsewhere = (i for i in links if not routers & {self.network.link[i].a, self.network.link[i].b})
                avoid = Avoid(routers, frozenset(ends_elsewhere))
                if avoid not in seen:
                    seen.add(avoid)
                    yield avoid

    @cached_property
    def at_risk(self) -> dict[str, list[str]]:
        """The links of every shared-risk group."""
        found: dict[str, list[str]] = {}
        for link in self.network.links:
            for group in link.srlg:
                found.setdefault(group, []).append(link.id)
        return found
