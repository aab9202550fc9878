"""Probes of the policy: every pair of roles, every contract, and packets just outside of what a contract allows."""

from __future__ import annotations

from collections.abc import Iterator

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6Unknown
from scapy.packet import Raw

from helsewan.policies.plan import Contract, Protocol, Service
from helsewan.topology.model import Site
from helsewan.verification.expected.expected import port_ranges
from helsewan.verification.live.generators.draft import (
    VERSIONS,
    Draft,
    DraftContext,
    ProbeKind,
    UpperLayer,
    echo,
    ported,
    portless,
    stacked,
)

_UNUSUAL_PORT = 39_321  # of no service
_TIMESTAMP, _NODE_QUERY = 13, 139  # other ICMP requests (RFC 792, RFC 4620)
_PARSED = {1, 6, 17, 43, 44, 51, 58, 59, 60, 132, 135}  # protocols whose headers a switch reads: their probes need one
_OTHER = {Protocol.TCP: Protocol.UDP, Protocol.UDP: Protocol.TCP, Protocol.SCTP: Protocol.UDP}


def pairs(context: DraftContext) -> Iterator[Draft]:
    """An echo request and a datagram to a port of no service, between sites of every ordered pair of roles."""
    for client, server in context.pairs():
        sender = context.site(client)
        receiver = sender and context.site(server, other_than=sender)
        if sender is None or receiver is None:
            continue
        for version in VERSIONS:
            endpoints = context.endpoints(sender, receiver, version)
            unassigned = ported(Protocol.UDP, context.client_port(), _UNUSUAL_PORT)
            for what, upper in (("ping", echo(version)), (f"udp/{_UNUSUAL_PORT}", unassigned)):
                name = f"{sender.id} > {receiver.id} {what} IPv{version}"
                yield Draft(ProbeKind.PAIRS, name, sender.id, 0, endpoints.frame(upper), (client.id, server.id))


def contracts(context: DraftContext) -> Iterator[Draft]:
    """Packets that each contract allows, and packets just outside of it."""
    for contract in context.plan.contracts:
        client = context.site(context.role[contract.client])
        server = client and context.site(context.role[contract.server], other_than=client)
        if client is None or server is None:
            continue
        service = context.plan.service[contract.service]
        kind = _ports if service.protocol.has_ports else _echoes if service.protocol is Protocol.ICMP else _portless
        for version in VERSIONS:
            for what, opens, upper in kind(context, service, version):
                yield _draft(context, contract, client if opens else server, server if opens else client, what, upper)


def _draft(
    context: DraftContext, contract: Contract, sender: Site, receiver: Site, what: str, upper: UpperLayer
) -> Draft:
    version = int(what[-1])
    name = f"{sender.id} > {receiver.id} {contract.service}: {what}"
    return Draft(
        ProbeKind.CONTRACTS,
        name,
        sender.id,
        0,
        context.endpoints(sender, receiver, version).frame(upper),
        (contract.id,),
    )


def _ports(context: DraftContext, service: Service, version: int) -> Iterator[tuple[str, bool, UpperLayer]]:
    """The packets for a service over TCP or UDP: description, whether the client sends it, and layers above IP."""
    protocol, port, client = service.protocol, context.server_port(service), context.client_port()
    yield f"opening IPv{version}", True, ported(protocol, client, port)
    yield f"reply IPv{version}", False, ported(protocol, port, client, "SA")
    yield f"opening from the server's side IPv{version}", False, ported(protocol, client, port)
    yield f"by {_OTHER[protocol].name} IPv{version}", True, ported(_OTHER[protocol], client, port)
    if protocol is Protocol.TCP:
        yield f"a reply that acknowledges nothing IPv{version}", False, ported(protocol, port, client, "S")
        yield f"a reset in reply IPv{version}", False, ported(protocol, port, client, "R")
    for neighbour in sorted(_neighbouring_ports(service)):
        yield f"to port {neighbour}, next to it, IPv{version}", True, ported(protocol, client, neighbour)
        yield (
            f"a reply from port {neighbour}, next to it, IPv{version}",
            False,
            ported(protocol, neighbour, client, "SA"),
        )


def _portless(context: DraftContext, service: Service, version: int) -> Iterator[tuple[str, bool, UpperLayer]]:
    """The same for a service of another protocol, and packets of the protocols whose numbers are next to it."""
    protocol = service.protocol.sample
    yield f"opening IPv{version}", True, portless(protocol)
    yield f"reply IPv{version}", False, portless(protocol)
    for neighbour in (int(protocol) - 1, int(protocol) + 1):
        if 0 < neighbour < 255 and neighbour not in _PARSED:
            yield f"protocol {neighbour}, next to it, IPv{version}", True, portless(Protocol(neighbour))
    yield f"by UDP IPv{version}", True, ported(Protocol.UDP, context.client_port(), _UNUSUAL_PORT)


def _neighbouring_ports(service: Service) -> set[int]:
    """The ports adjacent to a service's port ranges."""
    ranges = port_ranges(service)
    neighbour = {first - 1 for first, _ in ranges} | {last + 1 for _, last in ranges}
    return {port for port in neighbour if 0 < port < 1 << 16}


def _echoes(context: DraftContext, service: Service, version: int) -> Iterator[tuple[str, bool, UpperLayer]]:
    """The same for ICMP echo."""
    yield f"echo request IPv{version}", True, echo(version)
    yield f"echo reply IPv{version}", False, echo(version, reply=True)
    yield f"echo request from the server's side IPv{version}", False, echo(version)
    yield f"echo reply unasked IPv{version}", True, echo(version, reply=True)
    yield f"another ICMP request IPv{version}", True, _other_request(version)


def _other_request(version: int) -> UpperLayer:
    if version == 4:
        return lambda mark: stacked(ICMP(type=_TIMESTAMP), Raw(mark))
    return lambda mark: ICMPv6Unknown(type=_NODE_QUERY, msgbody=b"\0" * 4 + mark)


def controls(context: DraftContext) -> Iterator[Draft]:
    """An echo request to the gateway from every access link: the reply shows that frames pass and that the site
    receives them."""
    for site in context.plan.network.sites:
        for line in range(len(site.accesses)):
            endpoints = context.between(site, str(site.address4), str(site.gateway4), line)
            name = f"{site.id}/wan{line} > its gateway ping"
            yield Draft(ProbeKind.CONTROLS, name, site.id, line, endpoints.frame(echo(4)))


_PORTS_SCANNED, _ADDRESSES_SCANNED = 48, 16


def scanning(context: DraftContext) -> Iterator[Draft]:
    """A port scan of one address and an address scan, by a site of each role."""
    roles = context.plan.roles
    for role in roles:
        sender = context.site(role)
        target = sender and context.site(context.rng.choice(roles), other_than=sender)
        if sender is None or target is None:
            continue
        known = sorted({first for service in context.plan.services for first, _ in port_ranges(service)})
        ports = [*known, *context.rng.sample(range(1, 1 << 16), _PORTS_SCANNED)]
        for port in ports[:_PORTS_SCANNED]:
            version = context.rng.choice(VERSIONS)
            upper = ported(Protocol.TCP, context.client_port(), port)
            name = f"{sender.id} > {target.id} tcp/{port} IPv{version}"
            yield Draft(ProbeKind.SCANNING, name, sender.id, 0, context.endpoints(sender, target, version).frame(upper))
        yield from _addresses(context, sender, target)


def _addresses(context: DraftContext, sender: Site, target: Site) -> Iterator[Draft]:
    """Random addresses in a site's zone, and multicast, broadcast and unassigned addresses."""
    around = context.plan.network.zones4[target.zone]
    neighbour = [str(around[context.rng.randrange(around.num_addresses)]) for _ in range(_ADDRESSES_SCANNED)]
    far = [
        "255.255.255.255",
        "224.0.0.1",
        "198.51.100.1",
        "100.64.0.0",
        "127.0.0.1",
        "ff02::1",
        "ff05::2",
        "2001:db8::1",
    ]
    for address in (*neighbour, *far):
        version = 6 if ":" in address else 4
        endpoints = context.between(sender, str(sender.address6 if version == 6 else sender.address4), address)
        yield Draft(ProbeKind.SCANNING, f"{sender.id} > {address} ping", sender.id, 0, endpoints.frame(echo(version)))
