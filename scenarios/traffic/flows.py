"""Plans the traffic of a scenario: which site sends what to which and when. Pure; the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from helsewan.common.counts import counted
from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.lab.flows.flowspec import Endpoint, ExchangeSpec, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.flows.replay_plan import ReplayPlan
from helsewan.policies.language.schema import Selector
from helsewan.policies.passes.selectors import unknown_values, why_nobody
from helsewan.policies.plan import Plan, Protocol, Service, TrafficClass
from helsewan.scenarios.spec.codecs import CODECS
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.traffic.replay import ReplaySpec
from helsewan.scenarios.spec.traffic.schema import IsolationSpec, MessageSpec, TransactionSpec, VideoSpec, VoiceSpec
from helsewan.scenarios.traffic.idle_checks import empty_selections, idle_checks
from helsewan.scenarios.traffic.isolation import plan_isolation
from helsewan.scenarios.traffic.pairs import PairFinder, PortBook
from helsewan.scenarios.traffic.replay_mapping import HostBook
from helsewan.topology.model import Site

RTP_HEADER_BYTES = 12
MEDIA_BYTES = 1200  # a video datagram's greatest payload, which fits any path's MTU

PairsSpec = VoiceSpec | VideoSpec | MessageSpec | TransactionSpec


def plan_traffic(spec: ScenarioSpec, plan: Plan, document: Document) -> TrafficPlan:
    """Every flow and exchange of a scenario, ids set. Raises ``InputError`` with a problem, at its line of
    ``document``, for each entry that names an unknown service or that no pair of sites fits."""
    planner = _Planner(spec, plan, document, PairFinder(plan), PortBook(), HostBook())
    flows: list[FlowSpec] = []
    exchanges: list[ExchangeSpec] = []
    replays: list[ReplayPlan] = []
    problems: list[Problem] = []
    for entry, traffic in spec.traffic.items():
        try:
            if isinstance(traffic, IsolationSpec):
                flows += planner.isolation(entry, traffic)
            elif isinstance(traffic, TransactionSpec):
                exchanges += planner.exchanges(entry, traffic)
            elif isinstance(traffic, ReplaySpec):
                replays.append(planner.replay(entry, traffic))
            else:
                flows += planner.flows(entry, traffic)
        except InputError as error:
            problems += error.problems
    problems += idle_checks(spec, plan, document)
    if problems:
        raise InputError(*problems)
    planned = TrafficPlan(
        tuple(replace(flow, id=id_) for id_, flow in enumerate(flows)),
        tuple(replace(exchange, id=id_) for id_, exchange in enumerate(exchanges)),
        tuple(replays),
    )
    problems += empty_selections(spec, plan, planned, document)
    if problems:
        raise InputError(*problems)
    return planned


@dataclass(frozen=True)
class _Stream:
    """One direction of an entry: a burst of datagrams every interval."""

    interval_ns: int
    burst: int
    payload_bytes: int


@dataclass(frozen=True)
class _Planner:
    spec: ScenarioSpec
    plan: Plan
    document: Document
    finder: PairFinder
    ports: PortBook
    hosts: HostBook

    def isolation(self, entry: str, traffic: IsolationSpec) -> list[FlowSpec]:
        flows = plan_isolation(entry, traffic, self.plan, self.ports, self._rng(entry), self.spec.duration)
        if not flows:
            raise self._problem(
                entry, "count", traffic.count, "the policy denies no UDP service between any two sites", ""
            )
        return flows

    def replay(self, entry: str, traffic: ReplaySpec) -> ReplayPlan:
        from helsewan.scenarios.traffic.replay import ReplayPlanner  # loads Scapy, which most scenarios do not need

        planner = ReplayPlanner(self.plan, self.document, self.spec.network.seed, self.spec.duration, self.hosts)
        return planner.replay(entry, traffic)

    def flows(self, entry: str, traffic: VoiceSpec | VideoSpec | MessageSpec) -> Iterator[FlowSpec]:
        rng = self._rng(entry)
        service = self._service(entry, traffic, Protocol.UDP)
        forward, back = _streams(traffic)
        for number, (client, server) in enumerate(self._pairs(entry, traffic, rng), start=1):
            is_call = traffic.kind != "messages"  # media use the service's ports at both ends
            source = self.ports.of_service(client, service) if is_call else self.ports.of_client(client)
            destination = self.ports.of_service(server, service)
            flow = self._flow_maker(entry, traffic, service, client, server, rng)
            name = f"{entry}/{number:03d} {client.id}"
            yield flow(f"{name} > {server.id}", source, destination, forward)
            yield flow(f"{name} < {server.id}", destination, source, back)

    def exchanges(self, entry: str, traffic: TransactionSpec) -> Iterator[ExchangeSpec]:
        rng = self._rng(entry)
        service = self._service(entry, traffic, Protocol.TCP)
        for number, (client, server) in enumerate(self._pairs(entry, traffic, rng), start=1):
            yield ExchangeSpec(
                id=-1,
                name=f"{entry}/{number:03d} {client.id} > {server.id}",
                class_name=service.class_name,
                service=service.name,
                client=client.id,
                server=server.id,
                server_address=server.address4,
                port=service.port_numbers[0],
                dscp=self._class(service).dscp,
                interval_us=traffic.every,
                request_bytes=traffic.request,
                response_bytes=traffic.response,
                deadline_us=traffic.deadline,
                start_us=rng.randrange(traffic.every),
                stop_us=self.spec.duration,
                groups=(entry, _region_pair(client, server)),
            )

    def _flow_maker(
        self, entry: str, traffic: PairsSpec, service: Service, client: Site, server: Site, rng: Random
    ) -> Callable[[str, Endpoint, Endpoint, _Stream], FlowSpec]:
        """A function that makes either direction of a pair from its name, sockets and stream."""

        def flow(name: str, source: Endpoint, destination: Endpoint, stream: _Stream) -> FlowSpec:
            dscp = self._class(service).dscp
            return FlowSpec(
                id=-1,
                name=name,
                kind=FlowKind(traffic.kind),
                class_name=service.class_name,
                service=service.name,
                client=client.id,
                server=server.id,
                source=source,
                destination=destination,
                dscp=dscp,
                sent_dscp=dscp,
                interval_ns=stream.interval_ns,
                burst=stream.burst,
                payload_bytes=stream.payload_bytes,
                start_us=rng.randrange(stream.interval_ns // 1000),  # spread: senders do not send at the same instant
                stop_us=self.spec.duration,
                codec=traffic.codec if isinstance(traffic, VoiceSpec) else "",
                groups=(entry, _region_pair(client, server)),
            )

        return flow

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

    def _service(self, entry: str, traffic: PairsSpec, protocol: Protocol) -> Service:
        service = self.plan.service.get(traffic.service)
        usable = [known.name for known in self.plan.services if known.protocol is protocol]
        if service is None or service.protocol is not protocol:
            reason = f"is no {protocol.name} service of policy {self.plan.policy!r}"
            raise self._problem(entry, "service", traffic.service, reason, nearest(traffic.service, usable))
        return service

    def _class(self, service: Service) -> TrafficClass:
        return self.plan.traffic_class[service.class_name]

    def _rng(self, entry: str) -> Random:
        """An entry's own random numbers: adding an entry leaves the others as they are."""
        return Random(f"{self.spec.network.seed}:{entry}")

    def _problem(self, entry: str, key: str, value: object, reason: str, hint: str) -> InputError:
        return InputError(Problem(self.document.where(("traffic", entry, key)), value, reason, hint))


def _streams(traffic: VoiceSpec | VideoSpec | MessageSpec) -> tuple[_Stream, _Stream]:
    """The streams from client to server and back."""
    if isinstance(traffic, MessageSpec):
        interval_ns = traffic.every * 1000
        return _Stream(interval_ns, 1, traffic.request), _Stream(interval_ns, 1, traffic.reply)
    if isinstance(traffic, VoiceSpec):
        codec = CODECS[traffic.codec]
        stream = _Stream(codec.interval_us * 1000, 1, RTP_HEADER_BYTES + codec.payload_bytes)
        return stream, stream
    frame_bytes = traffic.rate // 8 // traffic.frames_per_second
    burst = -(-frame_bytes // MEDIA_BYTES)
    stream = _Stream(10**9 // traffic.frames_per_second, burst, max(frame_bytes // burst, 64))
    return stream, stream


def _region_pair(client: Site, server: Site) -> str:
    return f"{client.region.value}>{server.region.value}"
