"""Plans the traffic of a scenario: which site sends what to which and when. Pure; the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from helsewan.common.counts import counted
from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.lab.flows.flowspec import Endpoint, ExchangeSpec, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.programs.records import SiteProgram
from helsewan.policies.language.schema import Selector
from helsewan.policies.passes.selectors import unknown_values, why_nobody
from helsewan.policies.plan import Plan, Protocol, Service, TrafficClass
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.traffic.applications import Exchanges
from helsewan.scenarios.spec.traffic.programs import ProgramSpec
from helsewan.scenarios.spec.traffic.scan import ScanSpec
from helsewan.scenarios.spec.traffic.schema import ApplicationTraffic, IsolationSpec, MessageSpec, VideoSpec, VoiceSpec
from helsewan.scenarios.traffic.applications import (
    agent_sockets,
    check_port,
    conflicts,
    datagrams_at_agents,
    plan_exchanges,
    protocols_of,
)
from helsewan.scenarios.traffic.idle_checks import empty_selections, idle_checks
from helsewan.scenarios.traffic.isolation import plan_isolation
from helsewan.scenarios.traffic.pair_flows import Link, PairFlows
from helsewan.scenarios.traffic.pairs import IpVersion, PairFinder, PortBook, ip_versions
from helsewan.scenarios.traffic.programs import plan_program
from helsewan.scenarios.traffic.scan import plan_scan
from helsewan.scenarios.traffic.schedules.calls import Call, plan_calls
from helsewan.scenarios.traffic.streams import streams_of
from helsewan.topology.model import Site

PairsSpec = VoiceSpec | VideoSpec | MessageSpec | ApplicationTraffic


def plan_traffic(spec: ScenarioSpec, plan: Plan, document: Document) -> TrafficPlan:
    """Every flow and exchange of a scenario, ids set. Raises ``InputError`` with a problem, at its line of
    ``document``, for each entry that names an unknown service or that no pair of sites fits."""
    planner = _Planner(spec, plan, document, PairFinder(plan), PortBook())
    flows: list[FlowSpec] = []
    exchanges: list[ExchangeSpec] = []
    programs: list[SiteProgram] = []
    problems: list[Problem] = []
    for entry, traffic in spec.traffic.items():
        try:
            if isinstance(traffic, Exchanges):
                exchanges += planner.exchanges(entry, traffic)
        except InputError as error:
            problems += error.problems
    problems += conflicts(exchanges, document)
    taken = agent_sockets(exchanges)
    for entry, traffic in spec.traffic.items():
        try:
            if isinstance(traffic, IsolationSpec):
                flows += planner.isolation(entry, traffic, taken)
            elif isinstance(traffic, ProgramSpec):
                programs.append(plan_program(entry, traffic, spec, plan.network, document))
            elif isinstance(traffic, ScanSpec):
                flows += planner.scan(entry, traffic)
            elif not isinstance(traffic, Exchanges):
                flows += planner.flows(entry, traffic)
        except InputError as error:
            problems += error.problems
    problems += datagrams_at_agents(flows, taken, document)
    problems += idle_checks(spec, plan, document)
    if problems:
        raise InputError(*problems)
    planned = TrafficPlan(
        tuple(replace(flow, id=id_) for id_, flow in enumerate(flows)),
        tuple(replace(exchange, id=id_) for id_, exchange in enumerate(exchanges)),
        tuple(programs),
    )
    problems += empty_selections(spec, plan, planned, document)
    if problems:
        raise InputError(*problems)
    return planned


@dataclass(frozen=True)
class _Planner:
    spec: ScenarioSpec
    plan: Plan
    document: Document
    finder: PairFinder
    ports: PortBook

    def isolation(self, entry: str, traffic: IsolationSpec, taken: frozenset[tuple[str, int]]) -> list[FlowSpec]:
        flows = plan_isolation(entry, traffic, self.plan, self.ports, self._rng(entry), self.spec.duration, taken)
        if not flows:
            raise self._problem(
                entry, "count", traffic.count, "the policy denies no UDP service between any two sites", ""
            )
        return flows

    def scan(self, entry: str, traffic: ScanSpec) -> list[FlowSpec]:
        problems = [
            problem
            for key, selector in (("from", traffic.source), ("to", traffic.targets))
            for problem in self._unknown(entry, key, selector)
        ]
        if problems:
            raise InputError(*problems)
        rng = self._rng(entry)
        source = rng.choice(self.finder.sites(traffic.source))
        targets = [site for site in self.finder.sites(traffic.targets) if site.id != source.id]
        if not targets:
            raise self._problem(entry, "to", None, f"selects no site but the source, {source.id!r}", "select others")
        return plan_scan(entry, traffic, source, targets, self.finder, self.ports, rng, self.spec.duration)

    def flows(self, entry: str, traffic: VoiceSpec | VideoSpec | MessageSpec) -> Iterator[FlowSpec]:
        rng = self._rng(entry)
        service = self._service(entry, traffic, (Protocol.UDP,))
        pairs = self._pairs(entry, traffic, rng)
        numbers = np.random.default_rng(rng.getrandbits(64))
        links = [
            self._link(entry, traffic, service, client, server, version)
            for (client, server), version in zip(pairs, ip_versions(traffic, len(pairs), rng), strict=True)
        ]
        streams = streams_of(traffic, self.spec.duration, numbers)
        for number, call in enumerate(self._calls(entry, traffic, len(links), numbers), start=1):
            pair = PairFlows(f"{entry}/{number:03d}", links[call.line], call.start_us, call.stop_us)
            there, back = streams.pair()
            yield from pair.flows(there, back)
            if not isinstance(traffic, MessageSpec) and traffic.rtcp:
                yield from pair.reports(there, numbers)

    def _calls(
        self, entry: str, traffic: VoiceSpec | VideoSpec | MessageSpec, lines: int, rng: np.random.Generator
    ) -> Sequence[Call]:
        """The calls of an entry; without calls that come and go one for the whole run on every line."""
        if isinstance(traffic, MessageSpec) or traffic.calls is None:
            return [Call(line, 0, self.spec.duration) for line in range(lines)]
        planned = plan_calls(traffic.calls, lines, self.spec.duration, rng)
        if not planned.calls:
            reason = "plans no call: none begins before the run ends"
            raise self._problem(entry, "calls", None, reason, "give a shorter every, or another seed")
        return planned.calls

    def _link(
        self,
        entry: str,
        traffic: VoiceSpec | VideoSpec | MessageSpec,
        service: Service,
        client: Site,
        server: Site,
        version: IpVersion,
    ) -> Link:
        """Where the datagrams of a pair go from and to: media use the service's ports at both ends."""
        if isinstance(traffic, MessageSpec):
            near, far = self.ports.of_client(client, version), self.ports.of_service(server, service, version)
        else:
            ends = [self._media_end(entry, traffic, site, service, version) for site in (client, server)]
            near, far = ends
        return Link(
            kind=FlowKind(traffic.kind),
            service=service.name,
            class_name=service.class_name,
            dscp=self._class(service).dscp,
            client=client,
            server=server,
            near=near,
            far=far,
            codec=traffic.codec if isinstance(traffic, VoiceSpec) else "",
            entry=entry,
        )

    def _media_end(
        self, entry: str, traffic: VoiceSpec | VideoSpec, site: Site, service: Service, version: IpVersion
    ) -> Endpoint:
        end = self.ports.of_media(site, service, version)
        if end is None and not traffic.rtcp:
            return self.ports.of_service(site, service, version)
        if end is None:
            reason = "has no even port with the next one beside it, as RTP and RTCP need"
            raise self._problem(entry, "service", service.name, reason, "write rtcp: false, or give it such ports")
        return end

    def exchanges(self, entry: str, traffic: ApplicationTraffic) -> Iterator[ExchangeSpec]:
        rng = self._rng(entry)
        service = self._service(entry, traffic, protocols_of(traffic))
        check_port(entry, traffic, service, self.document)
        pairs = self._pairs(entry, traffic, rng)
        return plan_exchanges(entry, traffic, service, self._class(service), pairs, rng, self.spec.duration)

    def _pairs(self, entry: str, traffic: PairsSpec, rng: Random) -> list[tuple[Site, Site]]:
        named = dict(zip(traffic.keys, (traffic.client, traffic.server), strict=False))
        problems = [problem for key, selector in named.items() for problem in self._unknown(entry, key, selector)]
        if problems:
            raise InputError(*problems)
        clients, servers = self.finder.sites(traffic.client), self.finder.sites(traffic.server)
        pairs = self.finder.sample(traffic.service, traffic.count, clients, servers, traffic.relation, rng)
        if not pairs:
            reason = f"selects no two sites between which policy {self.plan.policy!r} allows {traffic.service!r}"
            hint = f"{counted(len(clients), 'client')}, {counted(len(servers), 'server')} selected"
            raise self._problem(entry, traffic.keys[0], None, reason, hint)
        return pairs

    def _unknown(self, entry: str, key: str, selector: Selector) -> Iterator[Problem]:
        """A problem for each value of a selector that no site has, or one if the selector selects no site."""
        population, at = self.finder.population, ("traffic", entry, key)
        unknown = list(unknown_values(selector, population))
        for each in unknown:
            where = self.document.where((*at, each.key, each.place))
            yield Problem(where, each.value, each.reason, each.hint)
        if not unknown and not population.select(selector):
            yield Problem(self.document.where(at), None, why_nobody(selector, population)[0], "select other sites")

    def _service(self, entry: str, traffic: PairsSpec, protocols: tuple[Protocol, ...]) -> Service:
        service = self.plan.service.get(traffic.service)
        usable = [known.name for known in self.plan.services if known.protocol in protocols]
        if service is None or service.protocol not in protocols:
            names = " or ".join(protocol.name for protocol in protocols)
            reason = f"is no {names} service of policy {self.plan.policy!r}"
            raise self._problem(entry, "service", traffic.service, reason, nearest(traffic.service, usable))
        return service

    def _class(self, service: Service) -> TrafficClass:
        return self.plan.traffic_class[service.class_name]

    def _rng(self, entry: str) -> Random:
        """An entry's own random numbers: adding an entry leaves the others as they are."""
        return Random(f"{self.spec.network.seed}:{entry}")

    def _problem(self, entry: str, key: str, value: object, reason: str, hint: str) -> InputError:
        return InputError(Problem(self.document.where(("traffic", entry, key)), value, reason, hint))
