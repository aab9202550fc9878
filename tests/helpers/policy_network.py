"""A small network for policy tests: three routers in two regions, some sites of every kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from helsewan.topology.model import AccessLink, Kind, Link, Network, Pop, Region, Router, Site

# id, kind, region, routers, access rate in Mbit/s, tier, tags
Row = tuple[str, Kind, Region, str, int, str, str]

SITES: tuple[Row, ...] = (
    ("h-st-olav", Kind.HOSPITAL, Region.MIDT, "r1 r2", 1000, "university", ""),
    ("h-levanger", Kind.HOSPITAL, Region.MIDT, "r1", 34, "local", ""),
    ("h-orkdal", Kind.HOSPITAL, Region.MIDT, "r1", 34, "local", ""),
    ("h-tromso", Kind.HOSPITAL, Region.NORD, "r3 r2", 1000, "university", ""),
    ("h-bodo", Kind.HOSPITAL, Region.NORD, "r3", 100, "central", "research"),
    ("gp-1", Kind.GP, Region.MIDT, "r1", 2, "", ""),
    ("gp-2", Kind.GP, Region.MIDT, "r2", 4, "", ""),
    ("gp-3", Kind.GP, Region.NORD, "r3", 2, "", ""),
    ("ph-1", Kind.PHARMACY, Region.MIDT, "r1", 2, "", ""),
    ("ph-2", Kind.PHARMACY, Region.NORD, "r3", 2, "", ""),
    ("mun-1", Kind.MUNICIPALITY, Region.MIDT, "r2", 10, "", ""),
    ("mun-2", Kind.MUNICIPALITY, Region.NORD, "r3", 10, "", ""),
    ("dc-midt", Kind.DATACENTRE, Region.MIDT, "r1 r2", 1000, "", ""),
    ("dc-nord", Kind.DATACENTRE, Region.NORD, "r3 r2", 1000, "", ""),
    ("svc-broker", Kind.SERVICE, Region.MIDT, "r1 r2", 1000, "", "messages"),
    ("svc-prescriptions", Kind.SERVICE, Region.MIDT, "r2 r1", 1000, "", "prescriptions"),
    ("svc-records", Kind.SERVICE, Region.NORD, "r3 r2", 1000, "", "records"),
    ("svc-video", Kind.SERVICE, Region.MIDT, "r1 r2", 1000, "", "video"),
    ("svc-voice", Kind.SERVICE, Region.NORD, "r3 r1", 1000, "", "voice"),
    ("svc-proxy", Kind.SERVICE, Region.NORD, "r3 r1", 1000, "", "internet"),
)


def small_network(rows: Sequence[Row] = SITES) -> Network:
    """A network of ``rows``: zones are /16, blocks /20 in them, sites /24 in those; of IPv6 /48, /60, /64."""
    routers = tuple(Router(f"r{i}", f"pop-{i}", i) for i in (1, 2, 3))
    regions = (Region.MIDT, Region.MIDT, Region.NORD)
    pops = tuple(
        Pop(f"pop-{r.index}", f"Town {r.index}", region, 63.0, 10.0, (r.id,))
        for r, region in zip(routers, regions, strict=True)
    )
    links = tuple(Link(f"{a}-{b}", a, b, 10**9, 1000, 200.0) for a, b in (("r1", "r2"), ("r2", "r3"), ("r1", "r3")))
    sites = _addressed(rows)
    zones4 = {zone: IPv4Network((10 << 24 | i << 16, 16)) for i, zone in enumerate(_zones(sites))}
    zones6 = {zone: IPv6Network((0xFD51 << 112 | i << 80, 48)) for i, zone in enumerate(_zones(sites))}
    blocks4 = {(site.zone, site.homing): site.prefix4.supernet(new_prefix=20) for site in sites}
    blocks6 = {(site.zone, site.homing): site.prefix6.supernet(new_prefix=60) for site in sites}
    return Network("small", 1, pops, routers, links, sites, zones4, zones6, blocks4, blocks6)


def _zones(sites: Sequence[Site]) -> list[str]:
    return list(dict.fromkeys(site.zone for site in sites))


def _addressed(rows: Sequence[Row]) -> tuple[Site, ...]:
    blocks: dict[str, list[str]] = defaultdict(list)  # zone -> homings seen
    members: dict[tuple[str, str], int] = defaultdict(int)
    sites = []
    for index, (name, kind, region, homing, rate, tier, tags) in enumerate(rows):
        zone = name if kind is Kind.SERVICE else f"{kind.value}-{region.value}"
        if homing not in blocks[zone]:
            blocks[zone].append(homing)
        members[zone, homing] += 1
        third = blocks[zone].index(homing) << 4 | members[zone, homing]
        number = list(blocks).index(zone)
        prefix4 = IPv4Network((10 << 24 | number << 16 | third << 8, 24))
        accesses = tuple(AccessLink(router, 100 + index, rate * 10**6, 200) for router in homing.split())
        sites.append(
            Site(
                name,
                name.title(),
                kind,
                region,
                63.0,
                10.0,
                "Town",
                index + 1,
                accesses,
                prefix4,
                IPv6Network((0xFD51 << 112 | number << 80 | third << 64, 64)),
                tier,
                frozenset(tags.split()),
            )
        )
    return tuple(sites)
