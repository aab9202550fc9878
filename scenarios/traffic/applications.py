"""Plans application traffic: what each exchange transfers, between which sites, when they begin. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random

import numpy as np

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.lab.flows.applications import (
    Application,
    Dicom,
    Ebxml,
    Hl7,
    SipCall,
    SipTransport,
    ThinClient,
    Transaction,
    Web,
)
from helsewan.lab.flows.flowspec import ExchangeSpec, FlowSpec
from helsewan.policies.plan import Protocol, Service, TrafficClass
from helsewan.scenarios.spec.traffic.applications import (
    MODALITIES,
    DicomSpec,
    Hl7Spec,
    Receipted,
    SipSpec,
    ThinClientSpec,
    TransactionSpec,
    WebSpec,
)
from helsewan.scenarios.spec.traffic.schema import ApplicationTraffic
from helsewan.scenarios.traffic.pair_flows import region_pair
from helsewan.scenarios.traffic.pairs import address_of, ip_versions
from helsewan.scenarios.traffic.schedules.arrivals import Warp, arrival_times
from helsewan.topology.model import Site

SMTP_PORT = 25


def protocols_of(traffic: ApplicationTraffic) -> tuple[Protocol, ...]:
    """The transport protocols that the service of an entry may have."""
    return (Protocol.UDP, Protocol.TCP) if isinstance(traffic, SipSpec) else (Protocol.TCP,)


def plan_exchanges(
    entry: str, traffic: ApplicationTraffic, service: Service, traffic_class: TrafficClass,
    pairs: Sequence[tuple[Site, Site]], rng: Random, duration_us: int,
) -> Iterator[ExchangeSpec]:  # fmt: skip
    """The exchanges of an entry between ``pairs``, ids unset. The entry's port must be one of the service's."""
    application = application_of(traffic, service)
    numbers = np.random.default_rng(rng.getrandbits(64))
    warp = Warp(traffic.shape, duration_us) if traffic.shape else None
    versions = ip_versions(traffic, len(pairs), rng)
    for number, ((client, server), version) in enumerate(zip(pairs, versions, strict=True), start=1):
        begins_us = arrival_times(traffic.arrivals, traffic.every, warp.length if warp else duration_us, numbers)
        name = f"{entry}/{number:03d} {client.id} > {server.id}"
        yield ExchangeSpec(
            id=-1,
            name=name,
            class_name=traffic_class.name,
            service=service.name,
            client=client.id,
            server=server.id,
            client_address=address_of(client, version),
            server_address=address_of(server, version),
            port=port_of(traffic, service),
            dscp=traffic_class.dscp,
            application=application,
            begins_us=tuple((warp.shaped(begins_us) if warp else begins_us).astype(int).tolist()),
            seed=f"{rng.getrandbits(64)}",
            deadline_us=traffic.deadline,
            start_us=0,
            stop_us=duration_us,
            groups=(entry, region_pair(client, server)),
        )


def port_of(traffic: ApplicationTraffic, service: Service) -> int:
    """The server's port: what the entry names, or the first that is not SMTP's (messages go by HTTP here)."""
    return traffic.port or next((port for port in service.port_numbers if port != SMTP_PORT), service.port_numbers[0])


def application_of(traffic: ApplicationTraffic, service: Service) -> Application:
    """What each exchange of an entry is."""
    match traffic:
        case TransactionSpec():
            return Transaction(traffic.request.span, traffic.response.span)
        case Hl7Spec():
            return Hl7(traffic.message.span)
        case Receipted():
            receipts = traffic.transport_receipt.span, traffic.application_receipt.span
            return Ebxml(traffic.message.span, *receipts, traffic.processing.span)
        case DicomSpec():
            images, image = MODALITIES[traffic.modality]
            images, image = traffic.images or images, traffic.image or image
            return Dicom(traffic.modality, images.span, image.span, traffic.associations)
        case WebSpec():
            return Web(
                traffic.page.span,
                traffic.objects.span,
                traffic.object.span,
                traffic.connections,
                traffic.pages.span,
                traffic.think.span,
            )
        case ThinClientSpec():
            return ThinClient(traffic.input.span, traffic.update.span)
        case SipSpec():
            transport = SipTransport.UDP if service.protocol is Protocol.UDP else SipTransport.TCP
            return SipCall(transport, traffic.ring.span, traffic.holding.span)


def conflicts(exchanges: Iterable[ExchangeSpec], document: Document) -> Iterator[Problem]:
    """A problem for each entry whose server already speaks another protocol at its port."""
    spoken: dict[tuple[str, int], ExchangeSpec] = {}
    told: set[str] = set()
    for exchange in exchanges:
        other = spoken.setdefault((exchange.server, exchange.port), exchange)
        if other.application.protocol != exchange.application.protocol and exchange.entry not in told:
            told.add(exchange.entry)
            reason = (
                f"is served by {exchange.server} to {other.entry!r}, which speaks {other.application.protocol} there"
            )
            where = document.where(("traffic", exchange.entry, "service"))
            yield Problem(where, exchange.service, reason, "choose another service, or other servers")


def check_port(entry: str, traffic: ApplicationTraffic, service: Service, document: Document) -> None:
    """Raises ``InputError`` where an entry names a port that its service does not have."""
    if traffic.port is not None and traffic.port not in service.port_numbers:
        where = document.where(("traffic", entry, "port"))
        known = ", ".join(map(str, service.port_numbers[:10]))
        raise InputError(Problem(where, traffic.port, f"is no port of {service.name!r}", f"it has {known}"))


def agent_sockets(exchanges: Iterable[ExchangeSpec]) -> frozenset[tuple[str, int]]:
    """The UDP sockets of SIP agents, as site and port: no other traffic can have them."""
    calls = [spec for spec in exchanges if isinstance(spec.application, SipCall)]
    return frozenset((site, spec.port) for spec in calls for site in (spec.client, spec.server))


def datagrams_at_agents(
    flows: Iterable[FlowSpec], agents: frozenset[tuple[str, int]], document: Document
) -> Iterator[Problem]:
    """A problem for each entry of datagrams that would take the socket of a SIP agent."""
    told: set[str] = set()
    for flow in flows:
        for end in (flow.source, flow.destination):
            if (end.site, end.port) in agents and flow.entry not in told:
                told.add(flow.entry)
                reason = f"takes UDP port {end.port} at {end.site}, where SIP calls are answered"
                yield Problem(document.where(("traffic", flow.entry)), None, reason, "choose another service or port")
