"""Drafts of probe packets: sender, destination, and the layers of a frame by Scapy."""

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

Upper = Callable[[bytes], Layer]  # what is above IP, with a mark as its payload


def stacked(*layers: Layer) -> Layer:
    """Layers on each other, the lowest returned. Unlike Scapy's ``/`` it copies none, which takes most of its time."""
    lowest, *others = layers
    for layer in layers:
        layer.explicit = True  # as it stands: there is nothing to be drawn by lot when it is built
    for layer in others:
        lowest.add_payload(layer)
    return lowest


def framed(*layers: Layer) -> bytes:
    """Layers on each other as bytes."""
    return bytes(stacked(*layers))


class Group(str, Enum):
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
    """A question but for its number: ``frame`` makes what ``site`` sends on its line out of the mark that it is to
    carry. ``about`` is the number of the contract, or are those of the two roles, where it is about one."""

    group: Group
    name: str
    site: str
    line: int
    frame: Callable[[bytes], bytes]
    about: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """From a site's access link, with one source address, to another address."""

    site: Site
    line: int
    gateway: str  # MAC
    source: str
    destination: str

    @property
    def version(self) -> int:
        """Of IP."""
        return 6 if ":" in self.source else 4

    def ether(self, **fields: Any) -> Layer:
        """Ethernet's header, from the site to its gateway unless told otherwise."""
        return Ether(**{"src": self.site.mac, "dst": self.gateway, **fields})

    def ip(self, ttl: int = TTL, **fields: Any) -> Layer:
        """IP's header; ``fields`` are Scapy's of the version in question."""
        ends: dict[str, Any] = {"src": self.source, "dst": self.destination}
        return IP(**ends, ttl=ttl, **fields) if self.version == 4 else IPv6(**ends, hlim=ttl, **fields)

    def frame(self, upper: Upper, ttl: int = TTL) -> Callable[[bytes], bytes]:
        """An ordinary packet as a frame."""
        return lambda mark: framed(self.ether(), self.ip(ttl), upper(mark))


@dataclass(frozen=True)
class Scene:
    """Where questions are about: ``fabric`` has the plan's network with the rules in question. All chance is
    ``chance``'s."""

    plan: Plan
    fabric: Fabric
    chance: Random

    def site(self, role: Role, other_than: Site | None = None) -> Site | None:
        """One of a role's sites; None where there is no other."""
        names = [name for name in role.sites if other_than is None or name != other_than.id]
        return self.plan.network.site[self.chance.choice(names)] if names else None

    def way(self, sender: Site, receiver: Site, version: int, line: int = 0) -> Way:
        """From site to site, as they are."""
        ends = (sender.address4, receiver.address4) if version == 4 else (sender.address6, receiver.address6)
        return self.between(sender, str(ends[0]), str(ends[1]), line)

    def between(self, sender: Site, source: str, destination: str, line: int = 0) -> Way:
        """From a site's line under any address to any."""
        router = self.plan.network.router[sender.accesses[line].router]
        return Way(sender, line, router_mac(router), source, destination)

    def pairs(self) -> Iterator[tuple[Role, Role]]:
        """Every ordered pair of roles."""
        return ((a, b) for a in self.plan.roles for b in self.plan.roles)

    @cached_property
    def role(self) -> dict[int, Role]:
        """Roles by number."""
        return {role.id: role for role in self.plan.roles}

    @cached_property
    def open_from(self) -> dict[int, list[Contract]]:
        """The contracts under which each role may open something to a site that is not the only one of it itself."""
        usable = [c for c in self.plan.contracts if c.client != c.server or len(self.role[c.client].sites) > 1]
        return {role.id: [c for c in usable if c.client == role.id] for role in self.plan.roles}

    def allowed(self, sender: Site, protocol: Protocol | None = None) -> tuple[Site, Upper, str] | None:
        """Something that a site may open: to whom, what is above IPv4 (of ICMP) or IP, and its name; None where it may
        open nothing of that protocol."""
        services = self.plan.service
        chances = [
            contract
            for contract in self.open_from[self.plan.role_of_site[sender.id].id]
            if services[contract.service].protocol is (protocol or services[contract.service].protocol)
            and (protocol or services[contract.service].protocol is not Protocol.ICMP)
        ]
        if not chances:
            return None
        contract = self.chance.choice(chances)
        server = self.site(self.role[contract.server], other_than=sender)
        assert server
        return server, self.opening(services[contract.service], 4), contract.service

    def opening(self, service: Service, version: int) -> Upper:
        """The first packet of a service's client."""
        if service.protocol is Protocol.ICMP:
            return echo(version)
        return ported(service.protocol, self.client_port(), self.server_port(service))

    def server_port(self, service: Service) -> int:
        """One of a service's ports; any where it has none."""
        first, last = self.chance.choice(port_ranges(service) or ((1, 0xFFFF),))
        return self.chance.randint(first, last)

    def client_port(self) -> int:
        """Where a client sends from."""
        return self.chance.choice(CLIENT_PORTS)


def ported(protocol: Protocol, source: int, destination: int, flags: str = "S") -> Upper:
    """TCP, with these flags, or UDP."""
    if protocol is Protocol.TCP:
        return lambda mark: stacked(TCP(sport=source, dport=destination, flags=flags), Raw(mark))
    return lambda mark: stacked(UDP(sport=source, dport=destination), Raw(mark))


def echo(version: int, reply: bool = False) -> Upper:
    """ICMP's echo."""
    if version == 4:
        return lambda mark: stacked(ICMP(type=0 if reply else 8), Raw(mark))
    kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
    return lambda mark: kind(data=mark)
