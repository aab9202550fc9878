"""The routers and links that an event of the timeline fails, and what that leaves of traffic between sites."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import networkx as nx

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.lab.testbed.failure_state import Target
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.schema import TargetSpec
from helsewan.topology.model import Network, Pop, Region, access_link_name


class Fate(str, Enum):
    """What a failure leaves to traffic between two sites."""

    SURVIVING = "surviving"  # both ends keep their primary router and access link
    ACCESS_HIT = "access_hit"  # an end loses its primary router or access link, and another path is left
    CUT = "cut"  # no path is left


def region_core(network: Network, region: Region) -> Pop:
    """A region's main PoP: the one with most routers, then most link capacity, then the first id."""

    def weight(pop: Pop) -> tuple[int, int]:
        capacity_bps = sum(link.rate_bps for link in network.links if {link.a, link.b} & set(pop.routers))
        return len(pop.routers), capacity_bps

    pops = sorted((pop for pop in network.pops if pop.region is region), key=lambda pop: pop.id)
    return max(pops, key=weight)


def resolve(spec: TargetSpec, network: Network, where: str = "target") -> Target:
    """The routers and links that ``spec`` means on ``network``. Raises ``InputError`` (at ``where``) for a
    PoP, router, link or shared-risk group that does not exist."""
    if spec.controller is not None:
        return Target("the leading controller", controller=True)
    if spec.region_core is not None:
        _known({pop.region.value for pop in network.pops}, spec.region_core.value, where)
        core = region_core(network, spec.region_core)
        return Target(f"core of {spec.region_core.label} ({core.town})", routers=core.routers)
    if spec.pop is not None:
        pop = _known(network.pop, spec.pop, where)
        return Target(f"PoP {network.pop[pop].town}", routers=network.pop[pop].routers)
    if spec.router is not None:
        return Target(f"router {spec.router}", routers=(_known(network.router, spec.router, where),))
    if spec.link is not None:
        return Target(f"link {spec.link}", links=(_known(network.link, spec.link, where),))
    if spec.access is not None:
        known = {
            access_link_name(site.id, n): (site.id, n) for site in network.sites for n in range(len(site.accesses))
        }
        return Target(f"access link {spec.access}", accesses=(known[_known(known, spec.access, where)],))
    group = _known({group for link in network.links for group in link.srlg}, str(spec.srlg), where)
    links = tuple(link.id for link in network.links if group in link.srlg)
    return Target(f"shared-risk group {group}", links=links)


def resolve_timeline(spec: ScenarioSpec, network: Network, document: Document) -> dict[str, Target]:
    """The target of every event of a scenario's timeline. Raises one ``InputError`` for all that are unknown."""
    targets: dict[str, Target] = {}
    problems: list[Problem] = []
    for name, event in spec.timeline.items():
        action = "fail" if event.fail else "restore"
        selected = event.fail or event.restore
        assert selected is not None  # the schema requires one of them
        key = next(iter(selected.model_dump(exclude_none=True)))
        try:
            targets[name] = resolve(selected, network, document.where(("timeline", name, action, key)))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return targets


def failed_together(spec: ScenarioSpec, targets: dict[str, Target]) -> Target:
    """Everything that the timeline ever fails, as one target."""
    failed = [targets[name] for name, event in spec.timeline.items() if event.fail]
    return Target(
        " and ".join(target.name for target in failed),
        tuple(dict.fromkeys(router for target in failed for router in target.routers)),
        tuple(dict.fromkeys(link for target in failed for link in target.links)),
        tuple(dict.fromkeys(access for target in failed for access in target.accesses)),
    )


class Connectivity:
    """Which sites can still reach each other without ``failed``, whatever the routing."""

    def __init__(self, network: Network, failed: Target) -> None:
        self._network = network
        self._failed, self._cut = frozenset(failed.routers), frozenset(failed.accesses)
        left = nx.Graph()
        left.add_nodes_from(router.id for router in network.routers if router.id not in self._failed)
        left.add_edges_from(
            (link.a, link.b)
            for link in network.links
            if link.id not in failed.links and not {link.a, link.b} & self._failed
        )
        self._component = {router: n for n, routers in enumerate(nx.connected_components(left)) for router in routers}

    def fate(self, a: str, b: str) -> Fate:
        """The fate of traffic between sites ``a`` and ``b`` (ids)."""
        if a == b:
            return Fate.SURVIVING
        if not self._components(a) & self._components(b):
            return Fate.CUT
        primaries = {self._network.site[site].homing[0] for site in (a, b)}
        hit = primaries & self._failed or {(a, 0), (b, 0)} & self._cut
        return Fate.ACCESS_HIT if hit else Fate.SURVIVING

    def _components(self, site: str) -> set[int]:
        homing = enumerate(self._network.site[site].homing)
        return {
            self._component[router] for n, router in homing if router in self._component and (site, n) not in self._cut
        }


def _known(known: Iterable[str], name: str, where: str) -> str:
    names = list(known)
    if name not in names:
        raise InputError(Problem(where, name, "does not exist in this network", nearest(name, names)))
    return name
