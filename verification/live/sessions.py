"""Sessions between sites by their own network stacks, with packets both ways.

They complement single packets (`helsewan.verification.live.test_packets`): a stack forges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from helsewan.policies.plan import Plan, Protocol, Role, Service
from helsewan.topology.model import Site
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.frames import read
from helsewan.verification.live.generators.draft import VERSIONS, Scene, Upper, echo, ported

_CLIENT_PORT = 40_000  # stands for whichever the client's stack takes


@dataclass(frozen=True)
class Session:
    """``client`` opens ``service`` to ``server`` over IP ``version``, at ``port`` (0: ICMP). ``allowed``: whether a
    contract lets it, whose place in the policy's file is ``source``; ``static``: whether by the rules the opening
    arrives and a reply comes back; ``walk`` is the way of the opening or, where that arrives, of the reply."""

    client: str
    server: str
    service: str
    protocol: Protocol
    version: int
    port: int
    allowed: bool
    source: str
    static: bool
    walk: Trace

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self.client} talks {self.service} to {self.server} over IPv{self.version}"


def sessions(plan: Plan, fabric: Fabric, seed: int, most: int | None = None) -> tuple[Session, ...]:
    """One conversation for every contract, and as many that no contract allows, of services that their server offers
    to others; ``most`` of them, drawn by lot, where that is fewer."""
    scene = Scene(plan, fabric, Random(seed))
    allowed = list(_allowed(scene))
    denied = list(_denied(scene))
    found = [*allowed, *scene.chance.sample(denied, min(len(denied), len(allowed)))]
    scene.chance.shuffle(found)
    return tuple(found[:most])


def _allowed(scene: Scene) -> Iterator[Session]:
    for contract in scene.plan.contracts:
        client, server = scene.role[contract.client], scene.role[contract.server]
        yield from _talk(scene, client, server, scene.plan.service[contract.service], contract.source)


def _denied(scene: Scene) -> Iterator[Session]:
    offered = sorted({(contract.server, contract.service) for contract in scene.plan.contracts})
    for server, service in offered:
        for client in scene.plan.roles:
            if (client.id, server, service) not in scene.plan.allowed:
                yield from _talk(scene, client, scene.role[server], scene.plan.service[service], "")


def _talk(scene: Scene, a: Role, b: Role, service: Service, source: str) -> Iterator[Session]:
    """One, unless there is nobody to talk to."""
    client = scene.site(a)
    server = client and scene.site(b, other_than=client)
    if client is None or server is None:
        return
    version = scene.chance.choice(VERSIONS)
    port = 0 if service.protocol is Protocol.ICMP else scene.server_port(service)
    walk = _walk(scene, client, server, version, _said(service.protocol, version, port, opens=True))
    arrived = _ends_at(walk, server)
    if arrived:
        walk = _walk(scene, server, client, version, _said(service.protocol, version, port, opens=False))
    static = arrived and _ends_at(walk, client)
    about = service.name, service.protocol, version, port
    yield Session(client.id, server.id, *about, bool(source), source, static, walk)


def _said(protocol: Protocol, version: int, port: int, opens: bool) -> Upper:
    """The first packet of a client, or a server's reply to it."""
    if protocol is Protocol.ICMP:
        return echo(version, reply=not opens)
    return ported(protocol, _CLIENT_PORT, port) if opens else ported(protocol, port, _CLIENT_PORT, "SA")


def _walk(scene: Scene, sender: Site, receiver: Site, version: int, upper: Upper) -> Trace:
    way = scene.way(sender, receiver, version)
    return scene.fabric.trace_from(sender.id, read(way.frame(upper)(b"")))


def _ends_at(walk: Trace, site: Site) -> bool:
    return walk.end is End.DELIVERED and walk.site == site.id
