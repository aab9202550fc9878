"""Packets of the network with correct rules, and the entries they meet: intact, and after every failure of one link,
one router or one access link of a dual-homed site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from random import Random

from helsewan.controller.openflow.entries import FlowRule, RuleSet
from helsewan.controller.rules.ip_version import FAMILIES
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric, Trace
from helsewan.verification.mutation.effect import Meters, Probe, meters_of, observe
from helsewan.verification.mutation.headers import Headers, address, gateway_requests, packet, sample

INTACT = Failures()
_PACKETS_PER_ENTRY = 40  # packets recorded per entry and state of the network
_CASES_PER_ENTRY = 6

EntryRef = tuple[str, "FlowRule | int"]  # a router and an entry, or a group's number


@dataclass(frozen=True)
class Corpus:
    """Packets that a plan allows, at most ``most`` of them, under the correct rules."""

    plan: Plan
    rules: Mapping[str, RuleSet]
    seed: int
    most: int = 6_000

    @cached_property
    def fabric(self) -> Fabric:
        """The switches with the correct rules."""
        return Fabric.of(self.plan.network, self.rules)

    @cached_property
    def meters(self) -> Meters:
        """The meters of the correct rules."""
        return meters_of(self.rules)

    @cached_property
    def headers(self) -> Headers:
        """The headers of the plan's services."""
        return Headers(self.plan)

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        """A random sample of the packets that the plan allows, and all requests to gateways. One half is of one pair of
        sites per router and pair of roles, the other of all other pairs."""
        rng, met = Random(self.seed), set()
        every: list[Probe] = []
        some: list[Probe] = []
        for line, site in product(self.plan.attachments, self.plan.network.sites):
            if line.site == site.id:
                continue
            key = line.router, line.role, self.plan.role_of_site[site.id].id
            for family in FAMILIES:
                ends = address(self.plan.network.site[line.site], family), address(site, family)
                headers = self.headers.allowed(line.site, site.id, family)
                probes = [Probe(*line.number, packet(family, *ends, header)) for header in headers]
                (some if key in met else every).extend(probes)
            met.add(key)
        lines = (line.number for line in self.plan.attachments)
        asked = (each for site, line in lines for each in gateway_requests(self.plan.network.site[site], line))
        sent = sample(rng, every, self.most // 2) + sample(rng, some, self.most // 2)
        rng.shuffle(sent)  # so that the packets recorded per entry are of all kinds
        return (*asked, *sent)

    @cached_property
    def cases(self) -> tuple[Failures, ...]:
        """Every failure of one link, of one router, or of one access link of a dual-homed site."""
        network = self.plan.network
        lines = [(site.id, n) for site in network.sites if len(site.accesses) > 1 for n in (0, 1)]
        return (
            *(Failures(links=frozenset({link.id})) for link in network.links),
            *(Failures(routers=frozenset({router.id})) for router in network.routers),
            *(Failures(access_links=frozenset({line})) for line in lines),
        )

    @cached_property
    def hits(self) -> dict[EntryRef, dict[Failures, list[Probe]]]:
        """The packets that meet an entry or a group, by state of the network."""
        found: dict[EntryRef, dict[Failures, list[Probe]]] = {}
        by_component: dict[object, list[Probe]] = {}
        for probe in self.probes:
            _, trace = observe(self.fabric, self.meters, probe)
            if trace is not None:
                _record(found, INTACT, probe, trace)
                for component in set(self._components(trace)):
                    by_component.setdefault(component, []).append(probe)
        for failures in self.cases:
            failed = replace(self.fabric, failures=failures)
            for component in (*failures.links, *failures.routers, *failures.access_links):
                for probe in self.on_live_links(failures, by_component.get(component, ())):
                    _, trace = observe(failed, self.meters, probe)
                    if trace is not None:
                        _record(found, failures, probe, trace)
        return found

    def on_live_links(
        self, failures: Failures, probes: Iterator[Probe] | list[Probe] | tuple[Probe, ...]
    ) -> Iterator[Probe]:
        """The probes whose access link and router have not failed."""
        for probe in probes:
            router = self.plan.network.site[probe.site].accesses[probe.line].router
            if router not in failures.routers and (probe.site, probe.line) not in failures.access_links:
                yield probe

    def _components(self, trace: Trace) -> Iterator[object]:
        """The components that a path depends on: routers, links, and the access link at its end."""
        network = self.plan.network
        for hop in trace.hops:
            yield hop.ingress.router
            yield self._link_at.get((hop.ingress.router, hop.ingress.port))
        last = network.access_link_ports[trace.hops[-1].ingress.router]
        yield from (line for line in last if line[0] == trace.site)

    @cached_property
    def _link_at(self) -> dict[tuple[str, int], str]:
        ports = self.plan.network.ports
        return {(router, port): link for router in ports for link, port in ports[router].items()}


def _record(found: dict[EntryRef, dict[Failures, list[Probe]]], failures: Failures, probe: Probe, trace: Trace) -> None:
    for entry_ref in set(_matched_entries(trace)):
        cases = found.setdefault(entry_ref, {})
        if failures in cases or len(cases) <= _CASES_PER_ENTRY:
            probes = cases.setdefault(failures, [])
            if len(probes) < _PACKETS_PER_ENTRY:
                probes.append(probe)


def _matched_entries(trace: Trace) -> Iterator[EntryRef]:
    for hop in trace.hops:
        yield from ((hop.ingress.router, rule) for rule in hop.visit.rules)
        yield from ((hop.ingress.router, choice.group.id) for choice in hop.visit.choices)
