"""Plans scans: one site sends to ports of many others in turn, most of which the policy denies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

from helsewan.lab.flows.flowspec import Endpoint, Expect, FlowKind, FlowSpec
from helsewan.policies.plan import Plan, Protocol, Service, TrafficClass
from helsewan.scenarios.spec.traffic.scan import ScanSpec
from helsewan.scenarios.traffic.controls import Pace, controls, probing_flow
from helsewan.scenarios.traffic.pairs import PairFinder, PortBook, address_of, ip_versions
from helsewan.topology.model import Site


def plan_scan(
    entry: str,
    spec: ScanSpec,
    source: Site,
    candidates: Sequence[Site],
    finder: PairFinder,
    ports: PortBook,
    rng: Random,
    duration_us: int,
) -> list[FlowSpec]:
    """The flows of a scan from ``source``, one for each port of each target, and their controls; ids unset. Targets are
    drawn from ``candidates``, all of them where there are fewer than the scan counts."""
    plan = finder.plan
    targets = rng.sample(candidates, min(spec.count, len(candidates)))
    scanned = list(_scanned(entry, spec, source, targets, finder, ports, rng, duration_us))
    return scanned + list(controls(entry, scanned, plan, ports, rng, spec.control_every, duration_us))


def _scanned(
    entry: str,
    spec: ScanSpec,
    source: Site,
    targets: Sequence[Site],
    finder: PairFinder,
    ports: PortBook,
    rng: Random,
    duration_us: int,
) -> Iterator[FlowSpec]:
    """A flow for each port of each target: its turn comes once in a round of all of them."""
    versions = ip_versions(spec, len(targets), rng)
    senders = {version: ports.of_client(source, version) for version in sorted(set(versions))}
    turns = list(product(zip(targets, versions, strict=True), spec.ports))
    for number, ((target, version), port) in enumerate(turns):
        service = _service_at(finder, source, target, port)
        expect = Expect.DELIVERED if service else Expect.DENIED
        yield probing_flow(
            f"{entry}/{number + 1:03d} {source.id} > {target.id}:{port} IPv{version}",
            FlowKind.SCAN,
            source,
            target,
            service.name if service else "",
            finder.plan.traffic_class[service.class_name] if service else _last_class(finder.plan),
            (senders[version], Endpoint(target.id, address_of(target, version), port)),
            Pace(spec.every * len(turns), spec.size, spec.every * number, duration_us),
            expect,
            (entry, f"{entry}.{'allowed' if service else 'denied'}"),
        )


def _service_at(finder: PairFinder, source: Site, target: Site, port: int) -> Service | None:
    """The UDP service by which the policy lets ``source`` reach ``port`` of ``target``, None where it denies that."""
    for service in finder.plan.services:
        listens = service.protocol is Protocol.UDP and port in service.port_numbers
        if listens and finder.allowed(service.name, source, target):
            return service
    return None


def _last_class(plan: Plan) -> TrafficClass:
    """The class that is served last, in which a worm's datagrams travel."""
    return max(plan.classes, key=lambda each: each.queue)
