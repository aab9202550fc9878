"""Who may open what to whom: every pair of roles, every contract, and what is next to what a contract allows."""

from __future__ import annotations

from collections.abc import Iterator

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6Unknown
from scapy.packet import Raw

from helsewan.policies.plan import Contract, Protocol, Service
from helsewan.topology.model import Site
from helsewan.verification.expected.expected import port_ranges
from helsewan.verification.live.generators.draft import VERSIONS, Draft, Group, Scene, Upper, echo, ported, stacked

_UNUSUAL_PORT = 39_321  # of no catalogue
_TIMESTAMP, _NODE_QUERY = 13, 139  # ICMP types that ask too (RFC 792, RFC 4620)
_OTHER = {Protocol.TCP: Protocol.UDP, Protocol.UDP: Protocol.TCP}


def pairs(scene: Scene) -> Iterator[Draft]:
    """A ping and a datagram to a port that no service has, between sites of every ordered pair of roles."""
    for client, server in scene.pairs():
        sender = scene.site(client)
        receiver = sender and scene.site(server, other_than=sender)
        if sender is None or receiver is None:
            continue
        for version in VERSIONS:
            way = scene.way(sender, receiver, version)
            strange = ported(Protocol.UDP, scene.client_port(), _UNUSUAL_PORT)
            for what, upper in (("ping", echo(version)), (f"udp/{_UNUSUAL_PORT}", strange)):
                name = f"{sender.id} > {receiver.id} {what} IPv{version}"
                yield Draft(Group.PAIRS, name, sender.id, 0, way.frame(upper), (client.id, server.id))


def contracts(scene: Scene) -> Iterator[Draft]:
    """What every contract allows, and what stands next to it."""
    for contract in scene.plan.contracts:
        client = scene.site(scene.role[contract.client])
        server = client and scene.site(scene.role[contract.server], other_than=client)
        if client is None or server is None:
            continue
        service = scene.plan.service[contract.service]
        kind = _echoes if service.protocol is Protocol.ICMP else _ports
        for version in VERSIONS:
            for what, opens, upper in kind(scene, service, version):
                yield _draft(scene, contract, client if opens else server, server if opens else client, what, upper)


def _draft(scene: Scene, contract: Contract, sender: Site, receiver: Site, what: str, upper: Upper) -> Draft:
    version = int(what[-1])
    name = f"{sender.id} > {receiver.id} {contract.service}: {what}"
    return Draft(Group.CONTRACTS, name, sender.id, 0, scene.way(sender, receiver, version).frame(upper), (contract.id,))


def _ports(scene: Scene, service: Service, version: int) -> Iterator[tuple[str, bool, Upper]]:
    """Of a service over TCP or UDP: what it is, whether the client sends it, and it."""
    protocol, port, client = service.protocol, scene.server_port(service), scene.client_port()
    yield f"opening IPv{version}", True, ported(protocol, client, port)
    yield f"reply IPv{version}", False, ported(protocol, port, client, "SA")
    yield f"opening from the server's side IPv{version}", False, ported(protocol, client, port)
    yield f"by {_OTHER[protocol].name} IPv{version}", True, ported(_OTHER[protocol], client, port)
    if protocol is Protocol.TCP:
        yield f"a reply that acknowledges nothing IPv{version}", False, ported(protocol, port, client, "S")
        yield f"a reset in reply IPv{version}", False, ported(protocol, port, client, "R")
    for near in sorted(_beside(service)):
        yield f"to port {near}, next to it, IPv{version}", True, ported(protocol, client, near)
        yield f"a reply from port {near}, next to it, IPv{version}", False, ported(protocol, near, client, "SA")


def _beside(service: Service) -> set[int]:
    """The ports next to a service's."""
    ranges = port_ranges(service)
    near = {first - 1 for first, _ in ranges} | {last + 1 for _, last in ranges}
    return {port for port in near if 0 < port < 1 << 16}


def _echoes(scene: Scene, service: Service, version: int) -> Iterator[tuple[str, bool, Upper]]:
    """The same of ICMP's echo."""
    yield f"echo request IPv{version}", True, echo(version)
    yield f"echo reply IPv{version}", False, echo(version, reply=True)
    yield f"echo request from the server's side IPv{version}", False, echo(version)
    yield f"echo reply unasked IPv{version}", True, echo(version, reply=True)
    yield f"another ICMP question IPv{version}", True, _strange_question(version)


def _strange_question(version: int) -> Upper:
    if version == 4:
        return lambda mark: stacked(ICMP(type=_TIMESTAMP), Raw(mark))
    return lambda mark: ICMPv6Unknown(type=_NODE_QUERY, msgbody=b"\0" * 4 + mark)


def controls(scene: Scene) -> Iterator[Draft]:
    """A ping of the gateway from every access line: its answer shows that the line carries and its site hears."""
    for site in scene.plan.network.sites:
        for line in range(len(site.accesses)):
            way = scene.between(site, str(site.address4), str(site.gateway4), line)
            name = f"{site.id}/wan{line} > its gateway ping"
            yield Draft(Group.CONTROLS, name, site.id, line, way.frame(echo(4)))


_PORTS_SCANNED, _ADDRESSES_SCANNED = 48, 16


def scanning(scene: Scene) -> Iterator[Draft]:
    """A site of each role looks for what it can find: ports of one address, addresses of one prefix."""
    roles = scene.plan.roles
    for role in roles:
        sender = scene.site(role)
        target = sender and scene.site(scene.chance.choice(roles), other_than=sender)
        if sender is None or target is None:
            continue
        known = sorted({first for service in scene.plan.services for first, _ in port_ranges(service)})
        ports = [*known, *scene.chance.sample(range(1, 1 << 16), _PORTS_SCANNED)]
        for port in ports[:_PORTS_SCANNED]:
            version = scene.chance.choice(VERSIONS)
            upper = ported(Protocol.TCP, scene.client_port(), port)
            name = f"{sender.id} > {target.id} tcp/{port} IPv{version}"
            yield Draft(Group.SCANNING, name, sender.id, 0, scene.way(sender, target, version).frame(upper))
        yield from _addresses(scene, sender, target)


def _addresses(scene: Scene, sender: Site, target: Site) -> Iterator[Draft]:
    """Around a site's address, and addresses that are many's or nobody's."""
    around = scene.plan.network.zones4[target.zone]
    near = [str(around[scene.chance.randrange(around.num_addresses)]) for _ in range(_ADDRESSES_SCANNED)]
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
    for address in (*near, *far):
        version = 6 if ":" in address else 4
        way = scene.between(sender, str(sender.address6 if version == 6 else sender.address4), address)
        yield Draft(Group.SCANNING, f"{sender.id} > {address} ping", sender.id, 0, way.frame(echo(version)))
