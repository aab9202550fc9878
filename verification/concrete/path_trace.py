"""How a service's packets go from one site to another, according to the rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from helsewan.controller.rules.contracts import TCP_ACK
from helsewan.controller.rules.ip_version import FAMILIES, IpVersion
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan, Protocol, Service
from helsewan.topology.model import AccessLinkId, Site
from helsewan.verification.concrete.fabric import Fabric, Trace
from helsewan.verification.concrete.packet import Label, Packet

_CLIENT_PORT = 49_152  # the first that is nobody's (RFC 6335, 6)
_SYN = 0x02  # of TCP's flags (RFC 9293, 3.1)
_TTL = 64  # what hosts send


@dataclass(frozen=True, slots=True)
class Leg:
    """A link on the path, and the labels of the packet on it, the transport label first."""

    link: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Journey:
    """A packet's path: its ``routers``, a leg from each to the next, and the site it is delivered to, None where it
    does not arrive. ``delay_us`` is one way, access links included; ``dscp`` is the code point it arrives with."""

    routers: tuple[str, ...]
    legs: tuple[Leg, ...]
    site: str | None
    delay_us: int
    dscp: int


@dataclass(frozen=True, slots=True)
class Detour:
    """Where packets go directly after a failure on their path, before the controller reacts: what failed, and the
    path."""

    failed: str
    journey: Journey


def packet_of(service: Service, sender: Site, receiver: Site, family: IpVersion, *, reply: bool = False) -> Packet:
    """The first packet of a service, with which ``sender`` opens it; or one that answers it."""
    ends = [site.prefixes[FAMILIES.index(family)][2] for site in (sender, receiver)]
    about = dict[str, int | str](eth_type=family.eth_type, nw_ttl=_TTL, ip_dscp=0, ip_frag=0)
    about |= {family.source: str(ends[0]), family.destination: str(ends[1])}
    if service.protocol is Protocol.ICMP:
        kind = family.echo_reply if reply else family.echo_request
        return Packet.of(**about, **{"ip_proto": family.icmp, family.icmp_type: kind})
    name, ports = service.protocol.name.lower(), (_CLIENT_PORT, max(service.ports[0].value, 1))
    source, destination = reversed(ports) if reply else ports
    if service.protocol is Protocol.TCP:
        about["tcp_flags"] = _SYN | TCP_ACK if reply else _SYN
    return Packet.of(**about, **{"ip_proto": int(service.protocol), f"{name}_src": source, f"{name}_dst": destination})


def journey(plan: Plan, fabric: Fabric, sender: str, packet: Packet, line: int = 0) -> Journey:
    """The way of a packet that ``sender`` sends on its line number ``line``."""
    walk, network = fabric.trace_from(sender, packet, line), plan.network
    links = fabric.links(walk)
    legs = tuple(Leg(link, hop.came.packet.labels) for link, hop in zip(links, walk.hops[1:], strict=True))
    delay_us = network.site[sender].accesses[line].delay_us + sum(network.link[link].delay_us for link in links)
    if walk.site is not None:
        delay_us += next(each.delay_us for each in network.site[walk.site].accesses if each.router == walk.routers[-1])
    return Journey(walk.routers, legs, walk.site, delay_us, _last(walk).fields["ip_dscp"])


def detours(plan: Plan, fabric: Fabric, sender: str, packet: Packet, way: Journey) -> Iterator[Detour]:
    """Where the packet goes if a fibre on its way fails, or a line of either site that has another. A sender whose line
    fails sends on the other one itself."""
    for leg in way.legs:
        failed = replace(fabric, failures=Failures(links=frozenset({leg.link})))
        yield Detour(leg.link, journey(plan, failed, sender, packet))
    for line, sent_on in _lines(plan, sender, way):
        failed = replace(fabric, failures=Failures(access_links=frozenset({line})))
        router = plan.network.site[line[0]].homing[line[1]]
        yield Detour(f"the line of {line[0]} to {router}", journey(plan, failed, sender, packet, sent_on))


def _lines(plan: Plan, sender: str, way: Journey) -> Iterator[tuple[AccessLinkId, int]]:
    """The lines at both ends of a way for which there is another, each with the one the packet is sent on instead."""
    if len(plan.network.site[sender].accesses) > 1:
        yield (sender, 0), 1
    if way.site is not None and len(homing := plan.network.site[way.site].homing) > 1:
        yield (way.site, homing.index(way.routers[-1])), 0


def _last(walk: Trace) -> Packet:
    """The packet as it was last seen."""
    return walk.packet or walk.hops[-1].came.packet
