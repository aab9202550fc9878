"""Isolation probes: datagrams that the policy must stop, over either IP version at random, and their controls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from random import Random

from helsewan.lab.flows.flowspec import Expect, FlowKind, FlowSpec
from helsewan.policies.plan import Plan, Role, Service
from helsewan.scenarios.spec.traffic.schema import IsolationSpec
from helsewan.scenarios.traffic.controls import Pace, controls, probing_flow
from helsewan.scenarios.traffic.pairs import IpVersion, PortBook, fixed_port, probed_services
from helsewan.topology.model import Kind, Region, Site

PAYLOAD_BYTES = 64
REPLY_SHAPED = 4  # one probe in this many poses as a reply: from the service's port to a client's
ATTEMPTS_PER_PROBE = 20


@dataclass(frozen=True, slots=True)
class _Group:
    """Sites of one role that are also of one kind and region."""

    role: Role
    kind: Kind
    region: Region
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Denied:
    """A pair of groups and a service that no contract allows between them."""

    client: _Group
    server: _Group
    service: Service


def plan_isolation(
    entry: str, spec: IsolationSpec, plan: Plan, ports: PortBook, rng: Random, duration_us: int,
    taken: frozenset[tuple[str, int]],
) -> list[FlowSpec]:  # fmt: skip
    """Probes and controls of one entry of the traffic, ids unset. Empty when the policy denies nothing. ``taken``: UDP
    sockets of other traffic, by site and port, that cannot be probed."""
    planner = _Planner(entry, spec, plan, ports, rng, duration_us, taken)
    probes = list(planner.probes())
    return probes + list(controls(entry, probes, plan, ports, rng, spec.control_every, duration_us))


@dataclass(frozen=True)
class _Planner:
    entry: str
    spec: IsolationSpec
    plan: Plan
    ports: PortBook
    rng: Random
    duration_us: int
    taken: frozenset[tuple[str, int]]

    @cached_property
    def _offers(self) -> frozenset[tuple[int, str]]:
        """(server role, service) that a contract opens to someone."""
        return frozenset((server, service) for _, server, service in self.plan.allowed)

    def probes(self) -> Iterator[FlowSpec]:
        """Up to ``count`` different probes, spread evenly over the kinds of pairs and the kinds of separation."""
        seen: set[tuple[str, str, str]] = set()
        for denied in islice(self._samples(), self.spec.count * ATTEMPTS_PER_PROBE):
            client, server = self._site(denied.client), self._site(denied.server)
            key = (client.id, server.id, denied.service.name)
            socket = server.id, denied.service.port_numbers[0]
            if client.id == server.id or key in seen or socket in self.taken:
                continue
            seen.add(key)
            yield self._probe(len(seen), client, server, denied.service)
            if len(seen) == self.spec.count:
                return

    def _samples(self) -> Iterator[_Denied]:
        """Denied triples without end: each pair of kinds of site in turn, within it each kind of separation in
        turn; none when nothing is denied."""
        pairs: defaultdict[tuple[str, str], defaultdict[tuple[bool, ...], list[_Denied]]]
        pairs = defaultdict(lambda: defaultdict(list))
        for denied in self._denied():
            kinds = denied.client.kind.value, denied.server.kind.value
            pairs[kinds][self._separation(denied)].append(denied)
        cycles = [cycle(list(pairs[kinds].values())) for kinds in sorted(pairs)]
        for separations in cycle(cycles):
            yield self.rng.choice(next(separations))

    def _denied(self) -> Iterator[_Denied]:
        groups = self._groups()
        for client in groups:
            for server in groups:
                for service in probed_services(self.plan):
                    if (client.role.id, server.role.id, service.name) not in self.plan.allowed:
                        yield _Denied(client, server, service)

    def _groups(self) -> list[_Group]:
        members: defaultdict[tuple[int, Kind, Region], list[str]] = defaultdict(list)
        for role in self.plan.roles:
            for name in role.sites:
                site = self.plan.network.site[name]
                members[role.id, site.kind, site.region].append(name)
        roles = {role.id: role for role in self.plan.roles}
        return [_Group(roles[id_], kind, region, tuple(names)) for (id_, kind, region), names in members.items()]

    def _separation(self, denied: _Denied) -> tuple[bool, ...]:
        """The kind of separation: in one VPN or two, in one region or two, and whether the server offers the service
        to others (its rules are then the nearest to a leak)."""
        client, server = denied.client, denied.server
        offered = (server.role.id, denied.service.name) in self._offers
        return client.role.vpn == server.role.vpn, client.region is server.region, offered

    def _site(self, group: _Group) -> Site:
        return self.plan.network.site[self.rng.choice(group.sites)]

    def _probe(self, number: int, client: Site, server: Site, service: Service) -> FlowSpec:
        version: IpVersion = self.rng.choice((4, 6))
        name = f"{self.entry}/{number:03d} {client.id} > {server.id} {service.name} IPv{version}"
        ends = self.ports.of_client(client, version), fixed_port(server, service, version)
        if group := "" if number % REPLY_SHAPED else " (reply)":
            # The server answers a client that may not have asked: client and server keep their meaning.
            ends = ends[::-1]
        return probing_flow(
            name + group,
            FlowKind.PROBE,
            client,
            server,
            service.name,
            self.plan.traffic_class[service.class_name],
            ends,
            Pace(self.spec.every, PAYLOAD_BYTES, self.rng.randrange(self.spec.every), self.duration_us),
            Expect.DENIED,
            (self.entry, f"{self.entry}.{'replies' if group else 'requests'}"),
        )
