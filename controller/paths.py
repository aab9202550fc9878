"""Paths by least delay, and for every hop of every path a detour that is ready before it is needed.

Each egress set has one tree of least-delay paths. Where a router's port on that tree goes down, the
router itself moves the packet on to a detour: a path in the network without what may have failed
(the neighbour's PoP, the links in the same shared-risk group), under a label of its own. A packet on
a detour is not repaired again, so it can go round in no circle: it follows one tree to its end,
then a second one to its end. Relatives of the idea: loop-free alternates (RFC 5286, RFC 7490) and
not-via addresses (RFC 6981), whose label also says what to avoid.

Pure: a network, egress sets and failures in, hops out. Ties fall the same way every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import dijkstra

from policies.plan import Egress
from topology.model import Link, Network

_HOP_COST_US = 1  # makes a link of no delay an edge, and of two equal paths takes the one with fewer hops
_NOWHERE = -9999  # scipy's predecessor of what cannot be reached


@dataclass(frozen=True, slots=True)
class Failures:
    """What cannot be used now: link ids and router ids."""

    links: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Avoid:
    """What a detour keeps clear of. Links that end at an avoided router are not listed."""

    routers: frozenset[str]
    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class Detour:
    """A way to router ``end`` that keeps clear of ``avoid``."""

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
    ``detours`` lists the detours by number; ``detour_hop`` maps (router id, detour) to a link.
    """

    target: dict[tuple[str, int], str]
    primary: dict[tuple[str, int], str]
    repair: dict[tuple[str, int], Repair]
    detours: tuple[Detour, ...]
    detour_hop: dict[tuple[str, int], str]


def compute_paths(network: Network, egresses: tuple[Egress, ...], failures: Failures = Failures()) -> Paths:
    """Least-delay trees to every egress set, and a local repair for every hop that has one."""
    return _Computation(network, egresses, failures).run()


@dataclass
class _Tree:
    """Least-delay trees toward every router in one reduced network."""

    routers: tuple[str, ...]
    position: dict[str, int]
    predecessors: npt.NDArray[np.int32]
    link_between: dict[tuple[int, int], str]

    def reaches(self, router: str, target: str) -> bool:
        """Whether ``target`` can be reached from ``router``."""
        return router == target or self._next(router, target) != _NOWHERE

    def hop(self, router: str, target: str) -> tuple[str, str]:
        """Link and router that come next on the way from ``router`` to a ``target`` it reaches."""
        following = self._next(router, target)
        return self.link_between[self.position[router], following], self.routers[following]

    def _next(self, router: str, target: str) -> int:
        # Paths are the same both ways, so the predecessor on the way from the target is the next hop to it.
        return int(self.predecessors[self.position[target], self.position[router]])


@dataclass
class _Computation:
    """One run: trees of reduced networks are made when first asked for, detours numbered as they come up."""

    network: Network
    egresses: tuple[Egress, ...]
    failures: Failures
    trees: dict[Avoid, _Tree] = field(default_factory=dict)
    detours: dict[Detour, int] = field(default_factory=dict)
    detour_hop: dict[tuple[str, int], str] = field(default_factory=dict)

    def run(self) -> Paths:
        """All targets, primaries and repairs."""
        target: dict[tuple[str, int], str] = {}
        primary: dict[tuple[str, int], str] = {}
        repair: dict[tuple[str, int], Repair] = {}
        whole = self.tree(Avoid(frozenset(), frozenset()))
        for router in (r.id for r in self.network.routers if r.id not in self.failures.routers):
            for egress in self.egresses:
                key = router, egress.index
                end = self.first_reached(whole, router, egress, frozenset())
                if end is None:
                    continue
                target[key] = end
                if end == router:
                    continue
                primary[key], neighbour = whole.hop(router, end)
                found = self.repair(router, neighbour, self.network.link[primary[key]], egress)
                if found is not None:
                    repair[key] = found
        return Paths(target, primary, repair, tuple(self.detours), self.detour_hop)

    def first_reached(self, tree: _Tree, router: str, egress: Egress, avoided: frozenset[str]) -> str | None:
        """The most preferred router of the egress set that ``router`` reaches."""
        usable = (end for end in egress.routers if end not in avoided and end not in self.failures.routers)
        return next((end for end in usable if tree.reaches(router, end)), None)

    def repair(self, router: str, neighbour: str, link: Link, egress: Egress) -> Repair | None:
        """The repair at ``router`` for the loss of ``link`` to ``neighbour``: the most careful that exists."""
        for avoid in self.candidates[router, link.id]:
            tree = self.tree(avoid)
            end = self.first_reached(tree, router, egress, avoid.routers)
            if end == router:
                return Repair(None, None)
            if end is not None:
                return Repair(self.detour(tree, avoid, router, end), tree.hop(router, end)[0])
        return None

    def detour(self, tree: _Tree, avoid: Avoid, router: str, end: str) -> int:
        """The number of the detour to ``end`` that keeps clear of ``avoid``; its hops from ``router`` noted."""
        number = self.detours.setdefault(Detour(avoid, end), len(self.detours))
        while router != end and (router, number) not in self.detour_hop:
            self.detour_hop[router, number], router = tree.hop(router, end)
        return number

    @cached_property
    def candidates(self) -> dict[tuple[str, str], tuple[Avoid, ...]]:
        """(router, link) -> what a detour there may avoid, most careful first."""
        return {
            (router, link.id): tuple(dict.fromkeys(self._candidates(router, link)))
            for link in self.network.links
            for router in (link.a, link.b)
        }

    def _candidates(self, router: str, link: Link) -> Iterator[Avoid]:
        neighbour = link.other(router)
        pop = frozenset(self.network.pop_of(neighbour).routers) - {router}
        shared = frozenset(other.id for other in self.network.links if set(other.srlg) & set(link.srlg)) | {link.id}
        for routers in (pop, frozenset({neighbour}), frozenset[str]()):
            for links in (shared, frozenset({link.id})):
                ends_elsewhere = (i for i in links if not routers & {self.network.link[i].a, self.network.link[i].b})
                yield Avoid(routers, frozenset(ends_elsewhere))

    def tree(self, avoid: Avoid) -> _Tree:
        """The trees of the network without the failures and without ``avoid``."""
        if avoid not in self.trees:
            self.trees[avoid] = self._tree(avoid)
        return self.trees[avoid]

    def _tree(self, avoid: Avoid) -> _Tree:
        routers = tuple(router.id for router in self.network.routers)
        position = {router: place for place, router in enumerate(routers)}
        no_routers = self.failures.routers | avoid.routers
        no_links = self.failures.links | avoid.links
        delay = np.zeros((len(routers), len(routers)))
        link_between: dict[tuple[int, int], str] = {}
        for link in self._slowest_first:  # of parallel links the fastest is written last
            if link.id in no_links or link.a in no_routers or link.b in no_routers:
                continue
            a, b = position[link.a], position[link.b]
            delay[a, b] = delay[b, a] = link.delay_us + _HOP_COST_US
            link_between[a, b] = link_between[b, a] = link.id
        predecessors = dijkstra(delay, directed=True, return_predecessors=True)[1]
        return _Tree(routers, position, predecessors, link_between)

    @cached_property
    def _slowest_first(self) -> list[Link]:
        return sorted(self.network.links, key=lambda link: (link.delay_us, link.id), reverse=True)
