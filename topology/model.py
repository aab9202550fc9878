"""The network as frozen data: PoPs, routers, links, sites, their access links and addresses.

All other packages (policies, controller, emulation) only read these values.
Units are in the names: rates in bit/s, delays in microseconds one way, distances in kilometres.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import networkx as nx

TRUNK_PORT = 1  # OpenFlow port of a router's access trunk; link ports follow from 2 upwards
TRUNK_INTERFACE = "trunk"
ACCESS_LINK_PORTS = 10_000  # plus the VLAN: OpenFlow port of an access link outside the trunk, above all link ports
LOOPBACKS4 = IPv4Network("100.64.0.0/16")  # routers' own addresses: shared address space (RFC 6598), used by no site
LOOPBACKS6 = IPv6Network("fd68:7772::/64")  # unique local (RFC 4193), disjoint from the sites' prefixes
MOST_BPS = 10**13  # the highest rate that the link engine's arithmetic supports
SITE_MTU = 1500  # default MTU of an access link, in bytes of an IP packet
MOST_SEED = 2**63 - 1  # fits into 64 bits of other programs
MOST_DELAY_US = 10_000_000  # the longest one-way delay of a link; more is rejected as a mistake

Prefix = IPv4Network | IPv6Network
AccessLinkId = tuple[str, int]  # an access link: site id and number (0 = primary)
GATEWAY6 = IPv6Address("fe80::1")  # every site's next hop: a link-local address may be the same on all access links


class Region(str, Enum):
    """The five health regions as they were until 2007 (topology/data/README.md)."""

    SOR = "sor"
    OST = "ost"
    VEST = "vest"
    MIDT = "midt"
    NORD = "nord"

    @property
    def label(self) -> str:
        """The region's Norwegian name, for output."""
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
    """A provider edge/core router. ``index`` counts from 1; datapath id, addresses and labels derive from it."""

    id: str
    pop: str
    index: int


@dataclass(frozen=True, slots=True)
class Link:
    """A point-to-point link between two routers (ids ``a`` and ``b``), with the same properties in both directions."""

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
    """An access link from a site to ``router``. ``vlan`` is unique per router and identifies the access link on the
    router's trunk; ``mtu_bytes`` is the longest IP packet it carries."""

    router: str
    vlan: int
    rate_bps: int
    delay_us: int
    mtu_bytes: int = SITE_MTU


@dataclass(frozen=True, slots=True)
class Site:
    """A customer site. ``accesses[0]`` is the primary access link, ``accesses[1]``, if any, the backup.

    In each prefix, address 1 is the gateway's (the PoP side) and address 2 the site's own. For IPv6, the next hop is
    the gateway's link-local address, ``GATEWAY6``.
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
        """The gateway address, which the router answers ARP for on this site's access links."""
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
        """Ids of the routers that the site's access links lead to, primary first."""
        return tuple(access.router for access in self.accesses)

    @property
    def zone(self) -> str:
        """The addressing zone: all sites of one zone share one IPv4 and one IPv6 prefix."""
        return self.id if self.kind is Kind.SERVICE else f"{self.kind.value}-{self.region.value}"

    @property
    def mac(self) -> str:
        """The site's MAC address on every access link (locally administered)."""
        return "02:51:" + self.index.to_bytes(4, "big").hex(":")


def access_interface(number: int) -> str:
    """Name of the site's interface to its access link ``number`` (0 = primary)."""
    return f"wan{number}"


def access_link_name(site: str, number: int) -> str:
    """Network-wide name of a site's access link ``number``: ``site/wan0``."""
    return f"{site}/{access_interface(number)}"


def router_mac(router: Router) -> str:
    """The router's MAC address on its access trunk (locally administered)."""
    return f"02:70:00:00:{router.index >> 8 & 255:02x}:{router.index & 255:02x}"


def router_address4(router: Router) -> IPv4Address:
    """The router's own IPv4 address, the same in every VPN."""
    return LOOPBACKS4[router.index]


def router_address6(router: Router) -> IPv6Address:
    """The router's own IPv6 address, the same in every VPN."""
    return LOOPBACKS6[router.index]


@dataclass(frozen=True)
class Network:
    """A complete network. ``zones4``/``zones6`` map a zone to its aggregate prefix; ``blocks4``/``blocks6`` map (zone,
    homing) to the aggregate prefix of that zone's sites with that homing. ``operations`` is the id of the PoP with the
    operations centre, empty for the first PoP."""

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
        """OpenFlow port numbers of dual-homed sites' access links: router id -> access link -> port. Each has its own
        port, so that the router detects carrier loss. All other access links are on the trunk."""
        ports: dict[str, dict[AccessLinkId, int]] = {router.id: {} for router in self.routers}
        for site in self.sites:
            for number, access in enumerate(site.accesses if len(site.accesses) > 1 else ()):
                ports[access.router][site.id, number] = ACCESS_LINK_PORTS + access.vlan
        return ports

    def pop_of(self, router: str) -> Pop:
        """The PoP of a router."""
        return self.pop[self.router[router].pop]

    @cached_property
    def graph(self) -> nx.MultiGraph:
        """Routers and links as a networkx graph; edges: key link id, attributes ``link`` and ``delay_us``."""
        graph = nx.MultiGraph(name=self.name)
        for router in self.routers:
            graph.add_node(router.id, router=router)
        for link in self.links:
            graph.add_edge(link.a, link.b, key=link.id, link=link, delay_us=link.delay_us)
        return graph
