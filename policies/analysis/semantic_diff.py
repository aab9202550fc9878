"""Semantic difference of two plans on one network: what sites may newly, or no longer, send each other, and what then
travels in another class.

Services are compared by the packets that they match, whatever their names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import pairwise, product

from helsewan.policies.language.ports import MAX_PORT, PortRange, joined
from helsewan.policies.language.protocols import protocol_name
from helsewan.policies.plan import Plan, Protocol, Service
from helsewan.topology.model import Kind, Region, Site

_Profile = tuple[Kind, Region]
_Names = frozenset[str]
_Part = tuple[Protocol, PortRange]
_ALL = PortRange(0, MAX_PORT)


class Change(str, Enum):
    """What an effect is."""

    OPENED = "opened"  # packets that were dropped are delivered
    CLOSED = "closed"  # packets that were delivered are dropped
    CLASS = "class"  # packets are delivered as before, and queued, marked or policed otherwise


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of what sites of kind ``client`` may open to sites of kind ``server``. ``services`` are named as in the
    policy that allows them, with their ports where only these are concerned; for a change of class with both classes.
    ``pairs`` counts the affected (client, server) pairs of sites by the regions of both."""

    change: Change
    client: Kind
    server: Kind
    services: tuple[str, ...]
    pairs: Mapping[tuple[Region, Region], int]


@dataclass(frozen=True, slots=True)
class Difference:
    """All effects, and for each kind of change the number of (client, server) pairs of sites with it, each pair counted
    once."""

    effects: tuple[Effect, ...]
    pairs: Mapping[Change, int]


def semantic_diff(before: Plan, after: Plan) -> Difference:
    """The effects of ``after`` in place of ``before``, both plans of the same network."""
    groups, comparison = _groups(before, after), _Comparison(before, after)
    old, new = _opens(before), _opens(after)
    found: dict[tuple[Change, Kind, Kind, tuple[str, ...]], Counter[tuple[Region, Region]]] = defaultdict(Counter)
    totals: Counter[Change] = Counter()
    for ((old_client, new_client), clients), ((old_server, new_server), servers) in product(groups.items(), repeat=2):
        could, can = old.get((old_client, old_server), frozenset()), new.get((new_client, new_server), frozenset())
        changes = comparison.of(could, can)
        for (kind, here), some in clients.items() if changes else ():
            for (other, there), others in servers.items():
                pairs = len(some) * len(others) - len(some & others)
                for change, services in changes.items():
                    totals[change] += pairs
                    found[change, kind, other, services][here, there] += pairs
    order = list(Change)
    effects = (Effect(*key, +pairs) for key, pairs in found.items() if +pairs)
    ranked = sorted(effects, key=lambda each: (order.index(each.change), each.client, each.server, each.services))
    return Difference(tuple(ranked), {change: totals[change] for change in order})


@dataclass(frozen=True)
class _Comparison:
    """The changes between sets of services of two plans."""

    before: Plan
    after: Plan

    @cached_property
    def _known(self) -> dict[tuple[_Names, _Names], dict[Change, tuple[str, ...]]]:
        return {}

    def of(self, could: _Names, can: _Names) -> dict[Change, tuple[str, ...]]:
        """What changes where the services ``could`` were allowed and ``can`` are, described for each change."""
        if (could, can) not in self._known:
            self._known[could, can] = self._compared(could, can)
        return self._known[could, can]

    def _compared(self, could: _Names, can: _Names) -> dict[Change, tuple[str, ...]]:
        parts: dict[tuple[Change, str, str], list[_Part]] = defaultdict(list)
        service_of: dict[tuple[Change, str, str], Service] = {}
        old, new = (
            [plan.service[name] for name in names] for plan, names in zip(self._plans, (could, can), strict=True)
        )
        for part, was, now in _parts(old, new):
            if (about := self._change(was, now)) is not None:
                change, classes = about
                service = now or was
                assert service is not None
                parts[change, service.name, classes].append(part)
                service_of[change, service.name, classes] = service
        found: dict[Change, list[str]] = defaultdict(list)
        for key, concerned in parts.items():
            found[key[0]].append(_shown(service_of[key], concerned) + key[2])
        return {change: tuple(sorted(services)) for change, services in found.items()}

    @property
    def _plans(self) -> tuple[Plan, Plan]:
        return self.before, self.after

    def _change(self, was: Service | None, now: Service | None) -> tuple[Change, str] | None:
        """The change for packets of service ``was`` that are now of service ``now``, with both classes if it is one of
        class; None if there is no change."""
        if was is None or now is None:
            return (Change.OPENED if was is None else Change.CLOSED), ""
        treated = [self._treatment(plan, service) for plan, service in zip(self._plans, (was, now), strict=True)]
        if treated[0] == treated[1]:
            return None
        if was.class_name != now.class_name:
            return Change.CLASS, f" in class {now.class_name} instead of {was.class_name}"
        if was.kept != now.kept:
            return (
                Change.CLASS,
                f" keeping {', '.join(now.kept) or 'no class'} instead of {', '.join(was.kept) or 'none'}",
            )
        return Change.CLASS, f" in class {now.class_name}, which changed"

    def _treatment(self, plan: Plan, service: Service) -> object:
        """Everything that decides how packets of a service are queued, marked, policed and routed."""
        names = (service.class_name, *service.kept)
        return service.kept, [(plan.traffic_class[name], self._rates[plan is self.after].get(name)) for name in names]

    @cached_property
    def _rates(self) -> tuple[dict[str, frozenset[tuple[int, int]]], ...]:
        """By plan and class: the rate of every access link with the rate that the class is policed to there."""
        return tuple(map(_policed, self._plans))


def _policed(plan: Plan) -> dict[str, frozenset[tuple[int, int]]]:
    rates: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for line in plan.attachments:
        access = plan.network.site[line.site].accesses[line.backup]
        for name, rate in line.police:
            rates[name].add((access.rate_bps, rate))
    return {name: frozenset(found) for name, found in rates.items()}


def _parts(old: Iterable[Service], new: Iterable[Service]) -> Iterator[tuple[_Part, Service | None, Service | None]]:
    """The packets of all services in parts, each with the old service that has it, and the new one. No two services of
    a policy share a port, but for one of all protocols, which has what no other has."""
    rest: dict[int, Service] = {}
    by_protocol: dict[Protocol, list[tuple[PortRange, int, Service]]] = defaultdict(list)
    for age, services in enumerate((old, new)):
        for service in services:
            if service.protocol is Protocol.ANY:
                rest[age] = service
                continue
            for ports in joined(service.ports) or (_ALL,):
                by_protocol[service.protocol].append((ports, age, service))
    for protocol, entries in by_protocol.items():
        edges = [*entries, *((_ALL, age, service) for age, service in rest.items())]
        for first, end in pairwise(sorted({port for ports, *_ in edges for port in (ports.first, ports.last + 1)})):
            owners = rest | {age: service for ports, age, service in entries if ports.first <= first <= ports.last}
            if owners:
                yield (protocol, PortRange(first, end - 1)), owners.get(0), owners.get(1)
    if rest:
        yield (Protocol.ANY, _ALL), rest.get(0), rest.get(1)


def _shown(service: Service, concerned: Iterable[_Part]) -> str:
    """A service's name, with the protocols and ports that are concerned unless these are all of its own."""
    merged: dict[Protocol, list[PortRange]] = {}
    for protocol, ports in sorted(concerned):
        ranges = merged.setdefault(protocol, [])
        if ranges and ranges[-1].last + 1 == ports.first:
            ranges[-1] = PortRange(ranges[-1].first, ports.last)
        else:
            ranges.append(ports)
    if tuple(merged.get(service.protocol, ())) == (joined(service.ports) or (_ALL,)):
        return service.name
    return f"{service.name} ({'; '.join(_named(*each) for each in merged.items())})"


def _named(protocol: Protocol, ranges: Iterable[PortRange]) -> str:
    if not protocol.has_ports:
        return protocol_name(protocol)
    named = (f"{max(each.first, 1)}-{each.last}" if each.first < each.last else str(each.first) for each in ranges)
    return f"{protocol_name(protocol)} {', '.join(named)}"


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


def _opens(plan: Plan) -> dict[tuple[int, int], _Names]:
    """The names of the services that are open, by client and server role."""
    opens: dict[tuple[int, int], set[str]] = defaultdict(set)
    for contract in plan.contracts:
        opens[contract.client, contract.server].add(contract.service)
    return {roles: frozenset(services) for roles, services in opens.items()}
