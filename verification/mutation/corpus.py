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
from helsewan.verification.mutation.effect import Meters, Probe, meters_of, seen
from helsewan.verification.mutation.headers import Headers, address, packet, questions, sampled

INTACT = Failures()
_PER_SPOT = 40  # packets kept of an entry in one state of the network
_CASES_PER_SPOT = 6

Spot = tuple[str, "FlowRule | int"]  # a router and an entry, or a group's number


@dataclass(frozen=True)
class Corpus:
    """Packets that a plan allows, at most ``most`` of them, under the correct rules."""

    plan: Plan
    rules: Mapping[str, RuleSet]
    seed: int
    most: int = 6_000

    @cached_property
    def fabric(self) -> Fabric:
        """The right switches."""
        return Fabric.of(self.plan.network, self.rules)

    @cached_property
    def meters(self) -> Meters:
        """The right meters."""
        return meters_of(self.rules)

    @cached_property
    def headers(self) -> Headers:
        """The plan's packets."""
        return Headers(self.plan)

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        """What sites may send each other: of each router and pair of roles first, of all other pairs a part; and what
        they ask their gateways."""
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
        asked = (each for site, line in lines for each in questions(self.plan.network.site[site], line))
        sent = sampled(rng, every, self.most // 2) + sampled(rng, some, self.most // 2)
        rng.shuffle(sent)  # what is kept of an entry's packets is of all kinds then
        return (*asked, *sent)

    @cached_property
    def cases(self) -> tuple[Failures, ...]:
        """Every failure of one link, router or access line of a dual-homed site."""
        network = self.plan.network
        lines = [(site.id, n) for site in network.sites if len(site.accesses) > 1 for n in (0, 1)]
        return (
            *(Failures(links=frozenset({link.id})) for link in network.links),
            *(Failures(routers=frozenset({router.id})) for router in network.routers),
            *(Failures(access_links=frozenset({line})) for line in lines),
        )

    @cached_property
    def hits(self) -> dict[Spot, dict[Failures, list[Probe]]]:
        """Which packets meet an entry or a group, by the state of the network."""
        found: dict[Spot, dict[Failures, list[Probe]]] = {}
        by_element: dict[object, list[Probe]] = {}
        for probe in self.probes:
            _, walk = seen(self.fabric, self.meters, probe)
            if walk is not None:
                _note(found, INTACT, probe, walk)
                for element in set(self._elements(walk)):
                    by_element.setdefault(element, []).append(probe)
        for failures in self.cases:
            failed = replace(self.fabric, failures=failures)
            for element in (*failures.links, *failures.routers, *failures.access_links):
                for probe in self.living(failures, by_element.get(element, ())):
                    _, walk = seen(failed, self.meters, probe)
                    if walk is not None:
                        _note(found, failures, probe, walk)
        return found

    def living(self, failures: Failures, probes: Iterator[Probe] | list[Probe] | tuple[Probe, ...]) -> Iterator[Probe]:
        """Those of which the line that they come in on is there."""
        for probe in probes:
            router = self.plan.network.site[probe.site].accesses[probe.line].router
            if router not in failures.routers and (probe.site, probe.line) not in failures.access_links:
                yield probe

    def _elements(self, walk: Trace) -> Iterator[object]:
        """What a way hangs on: routers, links, and the line at its end."""
        network = self.plan.network
        for hop in walk.hops:
            yield hop.came.router
            yield self._link_at.get((hop.came.router, hop.came.port))
        last = network.access_link_ports[walk.hops[-1].came.router]
        yield from (line for line in last if line[0] == walk.site)

    @cached_property
    def _link_at(self) -> dict[tuple[str, int], str]:
        ports = self.plan.network.ports
        return {(router, port): link for router in ports for link, port in ports[router].items()}


def _note(found: dict[Spot, dict[Failures, list[Probe]]], failures: Failures, probe: Probe, walk: Trace) -> None:
    for spot in set(_spots(walk)):
        cases = found.setdefault(spot, {})
        if failures in cases or len(cases) <= _CASES_PER_SPOT:
            probes = cases.setdefault(failures, [])
            if len(probes) < _PER_SPOT:
                probes.append(probe)


def _spots(walk: Trace) -> Iterator[Spot]:
    for hop in walk.hops:
        yield from ((hop.came.router, rule) for rule in hop.visit.rules)
        yield from ((hop.came.router, choice.group.id) for choice in hop.visit.choices)
