"""Sessions between sites by their own network stacks, with packets both ways.

They complement single packets (`helsewan.verification.live.test_packets`), which test one direction only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from helsewan.policies.plan import Plan, Protocol, Role, Service
from helsewan.topology.model import Site
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.frames import read
from helsewan.verification.live.generators.draft import VERSIONS, DraftContext, UpperLayer, echo, ported, portless

_CLIENT_PORT = 40_000  # in place of the ephemeral port that the client's stack chooses


@dataclass(frozen=True)
class Session:
    """``client`` opens ``service`` to ``server`` over IP ``version``, at ``port`` (0: none). ``allowed``: whether a
    contract allows it, and ``source`` is the contract's location in the policy file. ``static``: whether by the rules
    the request is delivered and a reply returns. ``trace`` is that of the request or, if it is delivered, of the
    reply."""

    client: str
    server: str
    service: str
    protocol: Protocol
    version: int
    port: int
    allowed: bool
    source: str
    static: bool
    trace: Trace

    @property
    def name(self) -> str:
        """A description for reports."""
        return f"{self.client} opens {self.service} to {self.server} over IPv{self.version}"


def sessions(plan: Plan, fabric: Fabric, seed: int, most: int | None = None) -> tuple[Session, ...]:
    """One session for every contract, and as many that no contract allows, of services that their server offers to
    other clients; in random order, and at most ``most`` of them."""
    context = DraftContext(plan, fabric, Random(seed))
    allowed = list(_allowed(context))
    denied = list(_denied(context))
    found = [*allowed, *context.rng.sample(denied, min(len(denied), len(allowed)))]
    context.rng.shuffle(found)
    return tuple(found[:most])


def _allowed(context: DraftContext) -> Iterator[Session]:
    for contract in context.plan.contracts:
        client, server = context.role[contract.client], context.role[contract.server]
        yield from _session(context, client, server, context.plan.service[contract.service], contract.source)


def _denied(context: DraftContext) -> Iterator[Session]:
    offered = sorted({(contract.server, contract.service) for contract in context.plan.contracts})
    for server, service in offered:
        for client in context.plan.roles:
            if (client.id, server, service) not in context.plan.allowed:
                yield from _session(context, client, context.role[server], context.plan.service[service], "")


def _session(context: DraftContext, a: Role, b: Role, service: Service, source: str) -> Iterator[Session]:
    """One session between sites of two roles; none if the roles have no two sites."""
    client = context.site(a)
    server = client and context.site(b, other_than=client)
    if client is None or server is None:
        return
    version = context.rng.choice(VERSIONS)
    protocol = service.protocol.sample
    port = context.server_port(service) if protocol.has_ports else 0
    trace = _trace(context, client, server, version, _first_packet(protocol, version, port, opens=True))
    arrived = _ends_at(trace, server)
    if arrived:
        trace = _trace(context, server, client, version, _first_packet(protocol, version, port, opens=False))
    static = arrived and _ends_at(trace, client)
    about = service.name, protocol, version, port
    yield Session(client.id, server.id, *about, bool(source), source, static, trace)


def _first_packet(protocol: Protocol, version: int, port: int, opens: bool) -> UpperLayer:
    """The first packet of a client, or a server's reply to it."""
    if protocol is Protocol.ICMP:
        return echo(version, reply=not opens)
    if not protocol.has_ports:
        return portless(protocol)
    return ported(protocol, _CLIENT_PORT, port) if opens else ported(protocol, port, _CLIENT_PORT, "SA")


def _trace(context: DraftContext, sender: Site, receiver: Site, version: int, upper: UpperLayer) -> Trace:
    endpoints = context.endpoints(sender, receiver, version)
    return context.fabric.trace_from(sender.id, read(endpoints.frame(upper)(b"")))


def _ends_at(trace: Trace, site: Site) -> bool:
    return trace.end is End.DELIVERED and trace.site == site.id
