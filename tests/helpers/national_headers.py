"""The national network under its policy: rules, switches, and the headers of every service."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

from helsewan.controller.rules.generation import Generation, first_generation
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IpVersion
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan, PortMatch, Protocol, Service, Vpn
from helsewan.topology.model import Site
from helsewan.topology.national.generator import national_network
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.switch import Switch

SYN, SYN_ACK = 0x02, 0x12


@cache
def plan() -> Plan:
    """The national network with all hospitals, services and data centres, and a sample of the other sites."""
    return compile_policy(load_policy(library_path("national")), national_network(sites=300, seed=1))


@cache
def intact() -> Generation:
    """The rules of the network in which nothing has failed."""
    return first_generation(plan())


@cache
def edge() -> dict[str, Switch]:
    """The routers' ingress rules, which do not depend on failures."""
    return {router: Switch.of(rules) for router, rules in intact().access.items()}


@cache
def whole() -> Fabric:
    """The fabric with the rules of the intact network."""
    return fabric_of(intact())


def fabric_of(generation: Generation) -> Fabric:
    """The fabric with the rules of a generation, in the state of the network that it is for."""
    switches = {router: each.having(generation.core[router]) for router, each in edge().items()}
    return Fabric(plan().network, switches, generation.failures)


class Header(NamedTuple):
    """A packet's IP version and transport header, and the services of which it is a request (``opens``) or a reply
    (``answers``)."""

    family: IpVersion
    fields: tuple[tuple[str, int], ...]
    opens: frozenset[str]
    answers: frozenset[str]


def _within(port: int, ranges: tuple[PortMatch, ...]) -> bool:
    return any(port & each.mask == each.value for each in ranges) or not ranges


def _services(protocol: Protocol, port: int) -> frozenset[str]:
    services = (service for service in plan().services if service.protocol is protocol)
    return frozenset(service.name for service in services if _within(port, service.ports))


@cache
def headers() -> tuple[Header, ...]:
    """A request and a reply for every port range of every service, and the reply without ACK."""

    def of(family: IpVersion, service: Service, port: int) -> Iterator[Header]:
        protocol, known = service.protocol, _services(service.protocol, port)
        if protocol is Protocol.ICMP:
            for kind, opens, answers in (
                (family.echo_request, known, frozenset()),
                (family.echo_reply, frozenset(), known),
                (3, frozenset(), frozenset()),
            ):
                yield Header(family, (("ip_proto", family.icmp), (family.icmp_type, kind)), opens, answers)
            return
        name = protocol.name.lower()
        for source, destination, flags in ((1, port, SYN), (port, 1, SYN_ACK), (port, 1, SYN)):
            fields = {"ip_proto": int(protocol), f"{name}_src": source, f"{name}_dst": destination}
            reply = source == port and (protocol is Protocol.UDP or flags == SYN_ACK)
            fields |= {"tcp_flags": flags} if protocol is Protocol.TCP else {}
            yield Header(
                family,
                tuple(fields.items()),
                known if destination == port else frozenset(),
                known if reply else frozenset(),
            )

    ports = ((service, each.value) for service in plan().services for each in service.ports or (PortMatch(0, 0),))
    asked = product(FAMILIES, ports)
    return tuple(dict.fromkeys(header for family, (service, port) in asked for header in of(family, service, port)))


def is_allowed(source: Site, destination: Site, header: Header) -> bool:
    """Whether a contract allows the packet."""
    a, b = (plan().role_of_site[site.id].id for site in (source, destination))
    return any((a, b, service) in plan().allowed for service in header.opens) or any(
        (b, a, service) in plan().allowed for service in header.answers
    )


def is_visible(source: Site, destination: Site) -> bool:
    """Whether the source's VPN has a route to the destination (RFC 4364)."""
    home, far = (plan().vpn[plan().role_of_site[site.id].vpn] for site in (source, destination))
    return far in plan().imports_from(home)


def address(site: Site, family: IpVersion) -> str:
    """A site's own address."""
    return str(site.address4 if family is IP4 else site.address6)


def label_of(vpn: Vpn, family: IpVersion) -> int:
    """The VPN label for an IP version."""
    return vpn.label if family is IP4 else vpn.label6
