"""The routers, links and sites that events of the timeline mean, and what failures leave of traffic between sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import networkx as nx

from helsewan.common.counts import counted
from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.passes.selection import Population
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.actions import CommandSpec, OneTarget, QuarantineAction
from helsewan.scenarios.spec.timeline.schema import DISCONNECTING, EventSpec
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


def resolve(spec: OneTarget, network: Network, where: str = "target") -> Target:
    """The routers and links that ``spec`` means on ``network``. Raises ``InputError`` (at ``where``) for a
    region, PoP, router, link, access link, site or shared-risk group that does not exist."""
    return _RESOLVERS[spec.chosen](network, getattr(spec, spec.chosen), where)


def _controller(network: Network, which: str, where: str) -> Target:
    return Target("the leading controller", controller=True)


def _region(network: Network, region: Region, where: str) -> Target:
    _known({pop.region.value for pop in network.pops}, region.value, where)
    routers = (router for pop in network.pops if pop.region is region for router in pop.routers)
    return Target(f"region {region.label}", routers=tuple(routers))


def _region_core(network: Network, region: Region, where: str) -> Target:
    _known({pop.region.value for pop in network.pops}, region.value, where)
    core = region_core(network, region)
    return Target(f"core of {region.label} ({core.town})", routers=core.routers)


def _pop(network: Network, pop: str, where: str) -> Target:
    found = network.pop[_known(network.pop, pop, where)]
    return Target(f"PoP {found.town}", routers=found.routers)


def _router(network: Network, router: str, where: str) -> Target:
    return Target(f"router {router}", routers=(_known(network.router, router, where),))


def _everywhere(network: Network, everywhere: bool, where: str) -> Target:
    return Target("all routers", routers=tuple(router.id for router in network.routers))


def _link(network: Network, link: str, where: str) -> Target:
    return Target(f"link {link}", links=(_known(network.link, link, where),))


def _access(network: Network, access: str, where: str) -> Target:
    known = {access_link_name(site.id, n): (site.id, n) for site in network.sites for n in range(len(site.accesses))}
    return Target(f"access link {access}", accesses=(known[_known(known, access, where)],))


def _site(network: Network, site: str, where: str) -> Target:
    found = network.site[_known(network.site, site, where)]
    return Target(f"access links of {site}", accesses=tuple((site, n) for n in range(len(found.accesses))))


def _srlg(network: Network, group: str, where: str) -> Target:
    _known({group for link in network.links for group in link.srlg}, group, where)
    return Target(f"shared-risk group {group}", links=tuple(link.id for link in network.links if group in link.srlg))


_RESOLVERS: Mapping[str, Callable[[Network, Any, str], Target]] = {
    "region": _region,
    "region_core": _region_core,
    "pop": _pop,
    "router": _router,
    "everywhere": _everywhere,
    "link": _link,
    "access": _access,
    "site": _site,
    "srlg": _srlg,
    "controller": _controller,
}


def link_names(target: Target, network: Network) -> tuple[str, ...]:
    """The names of a target's links; a router means its links to other routers."""
    routers = set(target.routers)
    links = [link.id for link in network.links if link.id in target.links or {link.a, link.b} & routers]
    return (*links, *(access_link_name(*access) for access in target.accesses))


def resolve_timeline(spec: ScenarioSpec, network: Network, document: Document) -> dict[str, Target]:
    """The target of every event of a scenario's timeline that has one. Raises one ``InputError`` for all that are
    unknown."""
    targets: dict[str, Target] = {}
    problems: list[Problem] = []
    for name, event in spec.timeline.items():
        try:
            target = _target_of(event, network, document, ("timeline", name, event.action))
        except InputError as error:
            problems += error.problems
        else:
            targets |= {} if target is None else {name: target}
    if problems:
        raise InputError(*problems)
    return targets


def _target_of(event: EventSpec, network: Network, document: Document, path: tuple[str, ...]) -> Target | None:
    action = getattr(event, event.action)
    if isinstance(action, OneTarget):
        return resolve(action, network, document.where((*path, action.chosen)))
    if isinstance(action, CommandSpec):
        site = _known(network.site, action.site, document.where((*path, "site")))
        return Target(f"site {site}", sites=(site,))
    if isinstance(action, QuarantineAction):
        sites = Population(network).select(action.sites)
        if not sites:
            where = document.where((*path, "sites"))
            raise InputError(Problem(where, None, "selects no site of this network", "`helsewan topology` lists them"))
        return Target(counted(len(sites), "site"), sites=tuple(sorted(sites)))
    return None


def failed_together(spec: ScenarioSpec, targets: Mapping[str, Target], network: Network) -> Target:
    """Everything that the timeline ever takes out of use, as one target; ``sites`` are those that a policy cuts off."""
    failed = [(event, targets[name]) for name, event in spec.timeline.items() if event.action in DISCONNECTING]
    whole = [target for event, target in failed if event.action not in ("cut", "blackhole", "flap")]
    partly = [target for event, target in failed if event.action in ("cut", "blackhole", "flap")]  # routers' links only
    links = (name for target in partly for name in link_names(target, network) if name in network.link)
    return Target(
        " and ".join(target.name for _, target in failed),
        tuple(dict.fromkeys(router for target in whole for router in target.routers)),
        tuple(dict.fromkeys([*(link for target in whole for link in target.links), *links])),
        tuple(dict.fromkeys(access for _, target in failed for access in target.accesses)),
        sites=tuple(dict.fromkeys(site for target in whole for site in target.sites)),
    )


class Connectivity:
    """Which sites can still reach each other without ``failed``, whatever the routing. Sites in ``failed.sites`` reach
    none."""

    def __init__(self, network: Network, failed: Target) -> None:
        self._network = network
        self._failed, self._cut = frozenset(failed.routers), frozenset(failed.accesses)
        self._isolated = frozenset(failed.sites)
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
        if {a, b} & self._isolated or not self._components(a) & self._components(b):
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
