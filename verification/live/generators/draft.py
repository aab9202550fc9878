"""Drafts of probe packets: sender, destination, and the Scapy layers of the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from random import Random
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Packet as Layer
from scapy.packet import Raw

from helsewan.policies.plan import Contract, Plan, Protocol, Role, Service
from helsewan.topology.model import Site, router_mac
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.expected.expected import port_ranges

BROADCAST = "ff:ff:ff:ff:ff:ff"
VERSIONS = 4, 6
TTL = 64
CLIENT_PORTS = range(40_000, 60_000)

UpperLayer = Callable[[bytes], Layer]  # makes the layers above IP, with a mark as their payload


def stacked(*layers: Layer) -> Layer:
    """Stacks layers, lowest first, and returns the lowest. Unlike Scapy's ``/`` it does not copy them, which is
    slow."""
    lowest, *others = layers
    for layer in layers:
        layer.explicit = True  # no random fields: nothing is left to expand when it is built
    for layer in others:
        lowest.add_payload(layer)
    return lowest


def framed(*layers: Layer) -> bytes:
    """The stacked layers as bytes."""
    return bytes(stacked(*layers))


class ProbeKind(str, Enum):
    """The kinds of probe packets."""

    CONTROLS = "controls"
    PAIRS = "pairs"
    CONTRACTS = "contracts"
    SOURCES = "spoofed sources"
    LABELS = "forged labels"
    VLANS = "forged VLANs"
    FRAGMENTS = "fragments"
    TTL = "TTL"
    EXTENSIONS = "extension headers"
    NEIGHBOURS = "ARP and ND"
    SCANNING = "scanning"


@dataclass(frozen=True, slots=True)
class Draft:
    """A probe packet without its number: ``frame`` makes what ``site`` sends on its access link, given the mark to
    embed. ``subject_ids`` are the number of the contract or of the two roles that the probe tests, if any."""

    kind: ProbeKind
    name: str
    site: str
    line: int
    frame: Callable[[bytes], bytes]
    subject_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of a packet: a site's access link, source and destination address, and the gateway's MAC
    address."""

    site: Site
    line: int
    gateway: str  # MAC
    source: str
    destination: str

    @property
    def version(self) -> int:
        """The IP version."""
        return 6 if ":" in self.source else 4

    def ether(self, **fields: Any) -> Layer:
        """The Ethernet header, from the site to its gateway unless ``fields`` override it."""
        return Ether(**{"src": self.site.mac, "dst": self.gateway, **fields})

    def ip(self, ttl: int = TTL, **fields: Any) -> Layer:
        """The IP header; ``fields`` are those of Scapy's layer for the IP version."""
        ends: dict[str, Any] = {"src": self.source, "dst": self.destination}
        return IP(**ends, ttl=ttl, **fields) if self.version == 4 else IPv6(**ends, hlim=ttl, **fields)

    def frame(self, upper: UpperLayer, ttl: int = TTL) -> Callable[[bytes], bytes]:
        """A function that makes the frame of an ordinary packet with a mark."""
        return lambda mark: framed(self.ether(), self.ip(ttl), upper(mark))


@dataclass(frozen=True)
class DraftContext:
    """What drafts are generated from: ``fabric`` has the plan's network with the rules under test. All random choices
    come from ``rng``."""

    plan: Plan
    fabric: Fabric
    rng: Random

    def site(self, role: Role, other_than: Site | None = None) -> Site | None:
        """A random site of a role, other than ``other_than``; None if there is none."""
        names = [name for name in role.sites if other_than is None or name != other_than.id]
        return self.plan.network.site[self.rng.choice(names)] if names else None

    def endpoints(self, sender: Site, receiver: Site, version: int, line: int = 0) -> Endpoints:
        """The endpoints from site to site, with their own addresses."""
        ends = (sender.address4, receiver.address4) if version == 4 else (sender.address6, receiver.address6)
        return self.between(sender, str(ends[0]), str(ends[1]), line)

    def between(self, sender: Site, source: str, destination: str, line: int = 0) -> Endpoints:
        """The endpoints from a site's access link, with any source and destination address."""
        router = self.plan.network.router[sender.accesses[line].router]
        return Endpoints(sender, line, router_mac(router), source, destination)

    def pairs(self) -> Iterator[tuple[Role, Role]]:
        """Every ordered pair of roles."""
        return ((a, b) for a in self.plan.roles for b in self.plan.roles)

    @cached_property
    def role(self) -> dict[int, Role]:
        """Roles by number."""
        return {role.id: role for role in self.plan.roles}

    @cached_property
    def open_from(self) -> dict[int, list[Contract]]:
        """The contracts by client role, without those of a role with itself that has one site only."""
        usable = [c for c in self.plan.contracts if c.client != c.server or len(self.role[c.client].sites) > 1]
        return {role.id: [c for c in usable if c.client == role.id] for role in self.plan.roles}

    def allowed(self, sender: Site, protocol: Protocol | None = None) -> tuple[Site, UpperLayer, str] | None:
        """A random service that a site may open, only of ``protocol`` if that is given: the server, the layers above IP
        (of ICMP: above IPv4), and the name of the service. None if there is none."""
        services = self.plan.service
        chances = [
            contract
            for contract in self.open_from[self.plan.role_of_site[sender.id].id]
            if services[contract.service].protocol is (protocol or services[contract.service].protocol)
            and (protocol or services[contract.service].protocol is not Protocol.ICMP)
        ]
        if not chances:
            return None
        contract = self.rng.choice(chances)
        server = self.site(self.role[contract.server], other_than=sender)
        assert server
        return server, self.opening(services[contract.service], 4), contract.service

    def opening(self, service: Service, version: int) -> UpperLayer:
        """The first packet of a client of the service."""
        if service.protocol is Protocol.ICMP:
            return echo(version)
        if not service.protocol.has_ports:
            return portless(service.protocol.sample)
        return ported(service.protocol, self.client_port(), self.server_port(service))

    def server_port(self, service: Service) -> int:
        """A random port of a service; any port if it has none."""
        first, last = self.rng.choice(port_ranges(service) or ((1, 0xFFFF),))
        return self.rng.randint(first, last)

    def client_port(self) -> int:
        """A random client port."""
        return self.rng.choice(CLIENT_PORTS)


def ported(protocol: Protocol, source: int, destination: int, flags: str = "S") -> UpperLayer:
    """The layers above IP of TCP, with these flags, of UDP, or of SCTP without a chunk."""
    if protocol is Protocol.TCP:
        return lambda mark: stacked(TCP(sport=source, dport=destination, flags=flags), Raw(mark))
    if protocol is Protocol.SCTP:
        return lambda mark: stacked(SCTP(sport=source, dport=destination), Raw(mark))
    return lambda mark: stacked(UDP(sport=source, dport=destination), Raw(mark))


def portless(protocol: Protocol) -> UpperLayer:
    """The layers above IP of any other protocol: bytes that only its number describes."""

    def layer(mark: bytes) -> Layer:
        payload = Raw(mark)
        payload.overload_fields = {IP: {"proto": int(protocol)}, IPv6: {"nh": int(protocol)}}
        return payload

    return layer


def echo(version: int, reply: bool = False) -> UpperLayer:
    """The layers above IP of an ICMP echo request or reply."""
    if version == 4:
        return lambda mark: stacked(ICMP(type=0 if reply else 8), Raw(mark))
    kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
    return lambda mark: kind(data=mark)
