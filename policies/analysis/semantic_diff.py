"""Semantic difference of two plans on one network: which services sites may newly, or no longer, open to others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from helsewan.policies.plan import Plan, PortMatch, Protocol
from helsewan.topology.model import Kind, Region, Site

_Meaning = tuple[str, Protocol, tuple[PortMatch, ...]]  # a service with other ports is another service
_Opens = dict[tuple[int, int], frozenset[_Meaning]]  # by client and server role
_Profile = tuple[Kind, Region]


@dataclass(frozen=True, slots=True)
class Effect:
    """Sites of kind ``client`` may open ``services`` to sites of kind ``server`` or, if not ``opened``, no longer may;
    ``pairs`` counts the affected (client, server) pairs of sites by the regions of both."""

    opened: bool
    client: Kind
    server: Kind
    services: tuple[str, ...]
    pairs: Mapping[tuple[Region, Region], int]


def semantic_diff(before: Plan, after: Plan) -> tuple[Effect, ...]:
    """What ``after`` newly allows, then what it no longer allows. Both are plans of the same network."""
    groups = _groups(before, after)
    old, new = _opens(before), _opens(after)
    found: dict[tuple[bool, Kind, Kind, tuple[str, ...]], Counter[tuple[Region, Region]]] = defaultdict(Counter)
    for ((old_client, new_client), clients), ((old_server, new_server), servers) in product(groups.items(), repeat=2):
        could, can = old.get((old_client, old_server), frozenset()), new.get((new_client, new_server), frozenset())
        for opened, services in ((True, can - could), (False, could - can)):
            if services:
                names = tuple(sorted({name for name, *_ in services}))
                for ((kind, here), some), ((other, there), others) in product(clients.items(), servers.items()):
                    found[opened, kind, other, names][here, there] += len(some) * len(others) - len(some & others)
    lines = (Effect(*key, +pairs) for key, pairs in found.items() if +pairs)
    return tuple(sorted(lines, key=lambda line: (not line.opened, line.client, line.server, line.services)))


def _groups(before: Plan, after: Plan) -> dict[tuple[int, int], dict[_Profile, set[str]]]:
    """The sites by their roles in both plans, and then by kind and region."""
    groups: dict[tuple[int, int], list[Site]] = defaultdict(list)
    for site in before.network.sites:
        groups[before.role_of_site[site.id].id, after.role_of_site[site.id].id].append(site)
    return {roles: _by_profile(sites) for roles, sites in groups.items()}


def _by_profile(sites: Iterable[Site]) -> dict[_Profile, set[str]]:
    found: dict[_Profile, set[str]] = defaultdict(set)
    for site in sites:
        found[site.kind, site.region].add(site.id)
    return found


def _opens(plan: Plan) -> _Opens:
    meaning = {each.name: (each.name, each.protocol, each.ports) for each in plan.services}
    opens: dict[tuple[int, int], set[_Meaning]] = defaultdict(set)
    for contract in plan.contracts:
        opens[contract.client, contract.server].add(meaning[contract.service])
    return {roles: frozenset(services) for roles, services in opens.items()}
