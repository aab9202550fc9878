"""The network as frozen data: PoPs, routers, fibre links, sites, their access lines and addresses.

Everything downstream (policies, controller, emulation) reads these values and changes none.
Units are in the names: rates in bit/s, delays in microseconds one way, distances in kilometres.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import networkx as nx

TRUNK_PORT = 1  # OpenFlow port of a router's access trunk; fibre ports follow from 2 upwards
TRUNK_INTERFACE = "trunk"
ACCESS_LINK_PORTS = 10_000  # and the VLAN: OpenFlow port of a line that is not on the trunk, beyond all fibres' ports
LOOPBACKS4 = IPv4Network("100.64.0.0/16")  # routers' own addresses: a provider's (RFC 6598), no site's
LOOPBACKS6 = IPv6Network("fd68:7772::/64")  # unique local (RFC 4193), beside the sites' own
MOST_BPS = 10**13  # the fastest line that the link engine's arithmetic is for
SITE_MTU = 1500  # bytes of an IP packet on an access line, unless the line takes less
MOST_DELAY_US = 10_000_000  # the longest way; more is a mistake

Prefix = IPv4Network | IPv6Network
AccessLinkId = tuple[str, int]  # an access line: site id and number (0 = primary)
GATEWAY6 = IPv6Address("fe80::1")  # every site's next hop: a link-local address may be the same on all access lines


class Region(str, Enum):
    """The five health regions as they were until 2007 (facts.md, section 1)."""

    SOR = "sor"
    OST = "ost"
    VEST = "vest"
    MIDT = "midt"
    NORD = "nord"

    @property
    def label(self) -> str:
        """The region's name as people write it."""
        return {"sor": "Sør", "ost": "Øst", "vest": "Vest", "midt": "Midt-Norge", "nord": "Nord"}[self.value]


class Kind(str, Enum):
    """What a site is."""

    HOSPITAL = "hospital"
    GP = "gp"
    PHARMACY = "pharmacy"
    MUNICIPALITY = "municipality"
    SERVICE = "service"  # a national service: message broker, e-prescription, proxy ...
    DATACENTRE = "datacentre"  # a region's own data centre


@dataclass(frozen=True, slots=True)
class Pop:
    """A point of presence: one town, one or two routers (``routers`` are router ids)."""

    id: str
    town: str
    region: Region
    lat: float
    lon: float
    routers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Router:
    """A provider edge/core router. ``index`` counts from 1; it is the datapath id and a label's base."""

    id: str
    pop: str
    index: int


@dataclass(frozen=True, slots=True)
class Link:
    """A point-to-point link between two routers (ids ``a`` and ``b``), same properties both ways."""

    id: str
    a: str
    b: str
    rate_bps: int
    delay_us: int
    fibre_km: float
    srlg: tuple[str, ...] = ()

    def other(self, router: str) -> str:
        """The router at the far end from ``router``."""
        return self.b if router == self.a else self.a


@dataclass(frozen=True, slots=True)
class AccessLink:
    """An access line from a site to ``router``; ``vlan`` is its number there, and tells lines apart on the router's
    trunk. ``mtu_bytes`` is the longest IP packet it takes."""

    router: str
    vlan: int
    rate_bps: int
    delay_us: int
    mtu_bytes: int = SITE_MTU


@dataclass(frozen=True, slots=True)
class Site:
    """A customer site. ``accesses[0]`` is the primary line, ``accesses[1]``, if any, the backup.

    Of either prefix, address 1 is the gateway's (the PoP side) and 2 the site's own. IPv6 packets find the
    gateway by its link-local address, ``GATEWAY6``.
    """

    id: str
    name: str
    kind: Kind
    region: Region
    lat: float
    lon: float
    municipality: str
    index: int
    accesses: tuple[AccessLink, ...]
    prefix4: IPv4Network
    prefix6: IPv6Network
    tier: str = ""
    tags: frozenset[str] = frozenset()

    @property
    def gateway4(self) -> IPv4Address:
        """The address the PoP answers for on this site's access lines."""
        return self.prefix4[1]

    @property
    def address4(self) -> IPv4Address:
        """The site's own address."""
        return self.prefix4[2]

    @property
    def address6(self) -> IPv6Address:
        """The site's own IPv6 address."""
        return self.prefix6[2]

    @property
    def prefixes(self) -> tuple[Prefix, Prefix]:
        """The site's IPv4 and IPv6 prefix."""
        return self.prefix4, self.prefix6

    @property
    def homing(self) -> tuple[str, ...]:
        """Router ids the site hangs on, primary first: its egress set."""
        return tuple(access.router for access in self.accesses)

    @property
    def zone(self) -> str:
        """The addressing zone: all sites of one zone share one IPv4 and one IPv6 prefix."""
        return self.id if self.kind is Kind.SERVICE else f"{self.kind.value}-{self.region.value}"

    @property
    def mac(self) -> str:
        """The site's MAC address on every access line (locally administered)."""
        return "02:51:" + self.index.to_bytes(4, "big").hex(":")


def access_interface(line: int) -> str:
    """The name a site gives its access line ``line`` (0 = primary)."""
    return f"wan{line}"


def access_link_name(site: str, line: int) -> str:
    """The name of a site's access line ``line`` among the network's lines."""
    return f"{site}/{access_interface(line)}"


def router_mac(router: Router) -> str:
    """The MAC address a router answers with on its access trunk (locally administered)."""
    return f"02:70:00:00:{router.index >> 8 & 255:02x}:{router.index & 255:02x}"


def router_address4(router: Router) -> IPv4Address:
    """The address a router speaks from, the same in every VPN."""
    return LOOPBACKS4[router.index]


def router_address6(router: Router) -> IPv6Address:
    """The same in IPv6."""
    return LOOPBACKS6[router.index]


@dataclass(frozen=True)
class Network:
    """The whole blueprint. ``zones4``/``zones6`` map a zone to its aggregate; ``blocks4``/``blocks6``
    map (zone, homing) to the aggregate of that zone's sites with that homing. ``operations`` is the PoP
    where the operations centre stands, empty for the first."""

    name: str
    seed: int
    pops: tuple[Pop, ...]
    routers: tuple[Router, ...]
    links: tuple[Link, ...]
    sites: tuple[Site, ...]
    zones4: dict[str, IPv4Network]
    zones6: dict[str, IPv6Network]
    blocks4: dict[tuple[str, tuple[str, ...]], IPv4Network]
    blocks6: dict[tuple[str, tuple[str, ...]], IPv6Network]
    operations: str = ""

    @cached_property
    def pop(self) -> dict[str, Pop]:
        """PoPs by id."""
        return {pop.id: pop for pop in self.pops}

    @cached_property
    def router(self) -> dict[str, Router]:
        """Routers by id."""
        return {router.id: router for router in self.routers}

    @cached_property
    def link(self) -> dict[str, Link]:
        """Links by id."""
        return {link.id: link for link in self.links}

    @cached_property
    def site(self) -> dict[str, Site]:
        """Sites by id."""
        return {site.id: site for site in self.sites}

    @cached_property
    def ports(self) -> dict[str, dict[str, int]]:
        """OpenFlow port numbers: router id -> link id -> port (the trunk is ``TRUNK_PORT``)."""
        ports: dict[str, dict[str, int]] = {router.id: {} for router in self.routers}
        for link in self.links:
            for end in (link.a, link.b):
                ports[end][link.id] = TRUNK_PORT + 1 + len(ports[end])
        return ports

    @cached_property
    def access_link_ports(self) -> dict[str, dict[AccessLinkId, int]]:
        """OpenFlow port numbers of the lines of dual-homed sites, by router id: each has a port of its own, so that its
        router sees when it goes dark. All other lines come in on the trunk."""
        ports: dict[str, dict[AccessLinkId, int]] = {router.id: {} for router in self.routers}
        for site in self.sites:
            for number, access in enumerate(site.accesses if len(site.accesses) > 1 else ()):
                ports[access.router][site.id, number] = ACCESS_LINK_PORTS + access.vlan
        return ports

    def pop_of(self, router: str) -> Pop:
        """The PoP a router stands in."""
        return self.pop[self.router[router].pop]

    def routers_of(self, place: str) -> tuple[str, ...]:
        """The routers of a site, PoP or router, the first in use first; none where ``place`` is none of these."""
        if place in self.site:
            return self.site[place].homing
        if place in self.pop:
            return self.pop[place].routers
        return (place,) if place in self.router else ()

    @cached_property
    def graph(self) -> nx.MultiGraph:
        """Routers and links as a networkx graph; edges are keyed by link id and carry ``link``."""
        graph = nx.MultiGraph(name=self.name)
        for router in self.routers:
            graph.add_node(router.id, router=router)
        for link in self.links:
            graph.add_edge(link.a, link.b, key=link.id, link=link, delay_us=link.delay_us)
        return graph
