"""The path of a service's packets from one site to another under the rules, with labels, delay and backup paths."""

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

_CLIENT_PORT = 49_152  # the first dynamic port (RFC 6335, 6)
_SYN = 0x02  # of TCP's flags (RFC 9293, 3.1)
_TTL = 64  # the usual initial TTL of hosts


@dataclass(frozen=True, slots=True)
class Leg:
    """A link on the path, and the packet's label stack there, transport label first."""

    link: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class PathTrace:
    """A packet's path: its ``routers``, a leg from each to the next, and the site it is delivered to, None where it
    is not delivered. ``delay_us`` is the one-way delay, access links included; ``dscp`` is the DSCP on delivery."""

    routers: tuple[str, ...]
    legs: tuple[Leg, ...]
    site: str | None
    delay_us: int
    dscp: int


@dataclass(frozen=True, slots=True)
class Detour:
    """The path of packets directly after a failure on their path, before the controller reacts; ``failed`` describes
    the failure."""

    failed: str
    path: PathTrace


def packet_of(service: Service, sender: Site, receiver: Site, family: IpVersion, *, reply: bool = False) -> Packet:
    """The first packet of a service from a client (``sender``) to a server; with ``reply``, from a server to a
    client."""
    ends = [site.prefixes[FAMILIES.index(family)][2] for site in (sender, receiver)]
    about = dict[str, int | str](eth_type=family.eth_type, nw_ttl=_TTL, ip_dscp=0, ip_frag=0)
    about |= {family.source: str(ends[0]), family.destination: str(ends[1])}
    if service.protocol is Protocol.ICMP:
        kind = family.echo_reply if reply else family.echo_request
        return Packet.of(**about, **{"ip_proto": family.icmp, family.icmp_type: kind})
    if not service.protocol.has_ports:
        return Packet.of(**about, ip_proto=int(service.protocol.sample))
    name, ports = service.protocol.name.lower(), (_CLIENT_PORT, max(service.ports[0].value, 1))
    source, destination = reversed(ports) if reply else ports
    if service.protocol is Protocol.TCP:
        about["tcp_flags"] = _SYN | TCP_ACK if reply else _SYN
    return Packet.of(**about, **{"ip_proto": int(service.protocol), f"{name}_src": source, f"{name}_dst": destination})


def path_trace(plan: Plan, fabric: Fabric, sender: str, packet: Packet, line: int = 0) -> PathTrace:
    """The path of a packet that ``sender`` sends on its access link number ``line``."""
    trace, network = fabric.trace_from(sender, packet, line), plan.network
    links = fabric.links(trace)
    legs = tuple(Leg(link, hop.ingress.packet.labels) for link, hop in zip(links, trace.hops[1:], strict=True))
    delay_us = network.site[sender].accesses[line].delay_us + sum(network.link[link].delay_us for link in links)
    if trace.site is not None:
        delay_us += next(
            each.delay_us for each in network.site[trace.site].accesses if each.router == trace.routers[-1]
        )
    return PathTrace(trace.routers, legs, trace.site, delay_us, _last_packet(trace).fields["ip_dscp"])


def detours(plan: Plan, fabric: Fabric, sender: str, packet: Packet, path: PathTrace) -> Iterator[Detour]:
    """The paths if one link of ``path`` fails, or one access link of a dual-homed site at either end. A sender whose
    access link fails sends on its other one."""
    for leg in path.legs:
        failed = replace(fabric, failures=Failures(links=frozenset({leg.link})))
        yield Detour(leg.link, path_trace(plan, failed, sender, packet))
    for line, sent_on in _redundant_lines(plan, sender, path):
        failed = replace(fabric, failures=Failures(access_links=frozenset({line})))
        router = plan.network.site[line[0]].homing[line[1]]
        yield Detour(f"the line of {line[0]} to {router}", path_trace(plan, failed, sender, packet, sent_on))


def _redundant_lines(plan: Plan, sender: str, path: PathTrace) -> Iterator[tuple[AccessLinkId, int]]:
    """The access links at both ends of a path that have an alternative, each with the number of the access link on
    which the sender then sends."""
    if len(plan.network.site[sender].accesses) > 1:
        yield (sender, 0), 1
    if path.site is not None and len(homing := plan.network.site[path.site].homing) > 1:
        yield (path.site, homing.index(path.routers[-1])), 0


def _last_packet(trace: Trace) -> Packet:
    """The packet in its last known form."""
    return trace.packet or trace.hops[-1].ingress.packet
