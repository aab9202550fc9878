"""Packet headers for traces: those of every service, and those at the boundaries of an entry's match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from typing import TypeVar

from helsewan.controller.openflow.entries import ARP
from helsewan.controller.rules.contracts import TCP_ACK, TCP_RST
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IpVersion
from helsewan.policies.plan import Plan, PortMatch, Protocol, Service
from helsewan.topology.model import GATEWAY6, Site
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.mutation.effect import Probe
from helsewan.verification.mutation.fields import MaskedValue

_ANY_PORT, _SYN, _TTL = 50_000, 0x02, 64
_UNMARKED = 1  # a DSCP of no class, so that every remarking is visible
Value = TypeVar("Value")
Header = tuple[tuple[str, int], ...]  # the fields other than addresses, by name


@dataclass(frozen=True)
class Headers:
    """The headers of a plan's services."""

    plan: Plan

    def of_service(self, service: Service, family: IpVersion, opens: bool) -> Iterator[Header]:
        """The header of a request (``opens``) or of a reply, for each port range of a service."""
        if service.protocol is Protocol.ICMP:
            kind = family.echo_request if opens else family.echo_reply
            yield ("ip_proto", family.icmp), (family.icmp_type, kind)
            return
        if not service.protocol.has_ports:
            yield (("ip_proto", int(service.protocol.sample)),)
            return
        name = service.protocol.name.lower()
        for ports in service.ports or (PortMatch(0, 0),):
            server = ports.value or 1
            ends = (_ANY_PORT, server) if opens else (server, _ANY_PORT)
            flags = (("tcp_flags", _SYN if opens else TCP_ACK),) if service.protocol is Protocol.TCP else ()
            yield (("ip_proto", int(service.protocol)), (f"{name}_src", ends[0]), (f"{name}_dst", ends[1]), *flags)

    def allowed(self, source: str, destination: str, family: IpVersion) -> Iterator[Header]:
        """What one site may send to another: requests, and replies to the other's requests."""
        a, b = self.plan.role_of_site[source].id, self.plan.role_of_site[destination].id
        for opens, key in ((True, (a, b)), (False, (b, a))):
            for service in self.services_between.get(key, ()):
                yield from self.of_service(self.plan.service[service], family, opens)

    @cached_property
    def services_between(self) -> dict[tuple[int, int], list[str]]:
        """Services by client and server role."""
        found: dict[tuple[int, int], list[str]] = {}
        for client, server, service in sorted(self.plan.allowed):
            found.setdefault((client, server), []).append(service)
        return found

    def all_services(self, family: IpVersion) -> tuple[Header, ...]:
        """The headers of all services, and for each TCP reply the same segment without ACK."""
        headers = [header for service in self.plan.services for opens in (True, False)
                   for header in self.of_service(service, family, opens)]  # fmt: skip
        headers += [_with(header, tcp_flags=_SYN) for header in headers if ("tcp_flags", TCP_ACK) in header]
        return tuple(dict.fromkeys(headers))

    def at_boundaries(self, matched: dict[str, MaskedValue], family: IpVersion) -> tuple[Header, ...]:
        """Headers at and next to the boundaries of what an entry matches."""
        proto = matched.get("ip_proto")
        protocols = [proto.value] if proto else [6, 17, family.icmp]
        headers: list[Header] = []
        for protocol in protocols:
            if protocol == family.icmp:
                types = _boundaries(matched.get(family.icmp_type), 8) or [family.echo_request, family.echo_reply, 3]
                headers += [(("ip_proto", protocol), (family.icmp_type, each)) for each in types]
            elif name := {6: "tcp", 17: "udp", 132: "sctp"}.get(protocol):
                ends = [_boundaries(matched.get(f"{name}_{side}"), 16) or [_ANY_PORT] for side in ("src", "dst")]
                flags = [_SYN, TCP_ACK, TCP_RST] if protocol == 6 else [0]
                headers += [
                    _with((("ip_proto", protocol), (f"{name}_src", a), (f"{name}_dst", b)),
                          **({"tcp_flags": flag} if protocol == 6 else {}))
                    for a, b, flag in product(*ends, flags)
                ]  # fmt: skip
            else:
                headers.append((("ip_proto", protocol),))
        marks = _boundaries(matched.get("ip_dscp"), 6)
        return tuple(_with(header, ip_dscp=mark) for header in headers for mark in marks or [_UNMARKED])


def _with(header: Header, **fields: int) -> Header:
    return tuple({**dict(header), **fields}.items())


def _boundaries(matched: MaskedValue | None, bits: int) -> list[int]:
    """The lowest and highest value that matches, and their neighbours."""
    if matched is None:
        return []
    top = (1 << bits) - 1
    first, last = matched.value, matched.value | ~matched.mask & top
    return sorted({first, last, max(first - 1, 0), min(last + 1, top)})


def addresses(matched: MaskedValue, family: IpVersion) -> list[int]:
    """Addresses at and next to the boundaries of a prefix."""
    return _boundaries(matched, family.address_bits)


def packet(family: IpVersion, source: int, destination: int, header: Header) -> Packet:
    """An IP packet as a site sends it."""
    about = {
        "eth_type": family.eth_type,
        "eth_src": 1,
        "eth_dst": 2,
        "nw_ttl": _TTL,
        "ip_dscp": _UNMARKED,
        "ip_frag": 0,
    }
    return Packet({**about, family.source: source, family.destination: destination, **dict(header)})


def address(site: Site, family: IpVersion) -> int:
    """A site's own address."""
    return int(site.address4 if family is IP4 else site.address6)


def gateway_requests(site: Site, line: int) -> Iterator[Probe]:
    """A site's requests to its gateway: ARP, neighbour solicitation, and an echo request in either IP version."""
    gateway = int(site.gateway4)
    arp = {"eth_type": ARP, "eth_src": 1, "eth_dst": 2, "arp_op": 1, "arp_sha": 1, "arp_tha": 0}
    yield Probe(site.id, line, Packet({**arp, "arp_spa": int(site.address4), "arp_tpa": gateway}))
    for family, prefix in zip(FAMILIES, site.prefixes, strict=True):
        ping = ("ip_proto", family.icmp), (family.icmp_type, family.echo_request)
        yield Probe(site.id, line, packet(family, address(site, family), int(prefix[1]), ping))
    asks = ("ip_proto", 58), ("icmpv6_type", 135), ("ipv6_nd_target", int(GATEWAY6)), ("ipv6_nd_sll", 1)
    more = ("nd_reserved", 0), ("nd_options_type", 1)
    yield Probe(site.id, line, packet(FAMILIES[1], int(site.address6), int(GATEWAY6), (*asks, *more)))


def fragment(probe: Probe) -> Probe:
    """The same packet as a first fragment."""
    return Probe(probe.site, probe.line, probe.packet.but(ip_frag=1))


def sample(rng: Random, values: Iterable[Value], most: int) -> list[Value]:
    """All values, or ``most`` of them at random."""
    known = list(values)
    return known if len(known) <= most else rng.sample(known, most)
