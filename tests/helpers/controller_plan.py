"""A small network and plan for the controller's tests: a ring of six routers with a chord, one PoP
with two routers, six sites in three VPNs, one of them dual-homed.

    tromso --- bodo --- trondheim --- bergen
       \\                   |            |
        `------ oslo2 ------'            |      (oslo1 and oslo2 are one PoP)
                  `------ oslo1 --------'
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from helsewan.policies.plan import (
    Attachment,
    Contract,
    Egress,
    PathAlgorithm,
    PathChoice,
    Plan,
    PortMatch,
    Protocol,
    Role,
    Route,
    Scheduling,
    Service,
    Traffic,
    TrafficClass,
    Vpn,
)
from helsewan.topology.model import SITE_MTU, AccessLink, Kind, Link, Network, Pop, Region, Router, Site

SHORT_MTU = 1400
ROUTERS = ("oslo1", "oslo2", "bergen", "trondheim", "bodo", "tromso")
CLASSES = (
    TrafficClass("voice", 0, (46,), Scheduling.STRICT, 0, 0.25, 20_000, 150_000, 50_000, 0.001),
    TrafficClass("video", 1, (34,), Scheduling.WEIGHTED, 40, 0.0, 50_000, 150_000, 50_000, 0.01),
    TrafficClass("data", 2, (18,), Scheduling.WEIGHTED, 30, 0.0, 100_000, 400_000, 100_000, 0.01),
    TrafficClass("best-effort", 3, (0,), Scheduling.WEIGHTED, 10, 0.0, 200_000, 1_000_000, 500_000, 0.05),
)
SERVICES = (
    Service("voice", Protocol.UDP, (PortMatch(16384, 0xC000),), "voice"),
    Service("messages", Protocol.TCP, (PortMatch(443, 0xFFFF), PortMatch(8080, 0xFFFF)), "data"),
    Service("ping", Protocol.ICMP, (), "best-effort"),
)


def links() -> tuple[Link, ...]:
    """The ring and its chord; Oslo-Bergen and Oslo-Trondheim leave Oslo in one trench."""
    ends = (
        ("oslo1", "oslo2", 10, ()),
        ("oslo1", "bergen", 2400, ("oslo-west",)),
        ("bergen", "trondheim", 3100, ()),
        ("oslo2", "trondheim", 2600, ("oslo-west",)),
        ("trondheim", "bodo", 3500, ()),
        ("bodo", "tromso", 2700, ()),
        ("tromso", "oslo2", 8300, ()),
    )
    return tuple(Link(f"{a}-{b}", a, b, 1_000_000_000, delay, delay / 4.9, srlg) for a, b, delay, srlg in ends)


def _site(
    index: int, name: str, kind: Kind, region: Region, homing: tuple[str, ...], mtu_bytes: int = SITE_MTU
) -> Site:
    accesses = tuple(AccessLink(router, 100 + index, 10_000_000, 500, mtu_bytes) for router in homing)
    prefix4 = IPv4Network((0x0A000000 + index * 0x10000, 29))
    prefix6 = IPv6Network((0xFD00 << 112 | index << 64, 64))
    return Site(name, name, kind, region, 60.0, 10.0, "", index, accesses, prefix4, prefix6)


def small_network() -> Network:
    """Six routers in five PoPs, seven links, six sites; one site's line takes less than the others."""
    pops = {"oslo": ("oslo1", "oslo2"), **{name: (name,) for name in ROUTERS[2:]}}
    sites = (
        _site(1, "st-olav", Kind.HOSPITAL, Region.MIDT, ("trondheim", "bergen")),
        _site(2, "bodo-gp", Kind.GP, Region.NORD, ("bodo",), SHORT_MTU),
        _site(3, "unn", Kind.HOSPITAL, Region.NORD, ("tromso", "bodo")),
        _site(4, "broker", Kind.SERVICE, Region.OST, ("oslo1", "oslo2")),
        _site(5, "bergen-gp", Kind.GP, Region.MIDT, ("bergen",)),
        _site(6, "trondheim-gp", Kind.GP, Region.MIDT, ("trondheim",)),
    )
    zones = Counter(site.zone for site in sites)  # one prefix covers a zone of one site only
    return Network(
        "small",
        1,
        tuple(Pop(name, name, Region.MIDT, 60.0, 10.0, routers) for name, routers in pops.items()),
        tuple(
            Router(name, next(pop for pop, routers in pops.items() if name in routers), index)
            for index, name in enumerate(ROUTERS, start=1)
        ),
        links(),
        sites,
        {site.zone: site.prefix4 for site in sites if zones[site.zone] == 1},
        {site.zone: site.prefix6 for site in sites if zones[site.zone] == 1},
        {(site.zone, site.homing): site.prefix4 for site in sites},
        {(site.zone, site.homing): site.prefix6 for site in sites},
    )


def small_plan() -> Plan:
    """GPs and hospitals of one region see each other and the services; regions do not see each other."""
    network = small_network()
    vpns = (
        Vpn(
            "midt",
            1,
            101,
            201,
            frozenset({"midt", "services"}),
            frozenset({"midt"}),
            ("st-olav", "bergen-gp", "trondheim-gp"),
        ),
        Vpn("nord", 2, 102, 202, frozenset({"nord", "services"}), frozenset({"nord"}), ("unn", "bodo-gp")),
        Vpn("services", 3, 103, 203, frozenset({"midt", "nord"}), frozenset({"services"}), ("broker",)),
    )

    def role(number: int, name: str, vpn: str, *sites: str) -> Role:
        return Role(number, name, vpn, sites, tuple(prefix for site in sites for prefix in network.site[site].prefixes))

    roles = (
        role(1, "hospital-midt", "midt", "st-olav"),
        role(2, "gp-midt", "midt", "bergen-gp", "trondheim-gp"),
        role(3, "hospital-nord", "nord", "unn"),
        role(4, "gp-nord", "nord", "bodo-gp"),
        role(5, "broker", "services", "broker"),
    )
    contracts = tuple(
        Contract(f"{client} {service} {server}", client, server, service, "small.yaml:1", number)
        for number, (client, server, service) in enumerate(
            (
                (1, 2, "voice"),
                (2, 1, "voice"),
                (2, 1, "ping"),
                (3, 4, "voice"),
                (4, 3, "voice"),
                (4, 3, "ping"),
                (1, 5, "messages"),
                (2, 5, "messages"),
                (3, 5, "messages"),
                (4, 5, "messages"),
                (1, 5, "ping"),
                (2, 5, "ping"),
                (3, 5, "ping"),
                (4, 5, "ping"),
            )
        )
    )
    role_of = {site: role for role in roles for site in role.sites}
    attachments = tuple(
        Attachment(
            site.id,
            access.router,
            access.vlan,
            place > 0,
            role_of[site.id].vpn,
            role_of[site.id].id,
            (("voice", access.rate_bps // 4),),
        )
        for site in network.sites
        for place, access in enumerate(site.accesses)
    )
    homings = tuple(dict.fromkeys([*((router,) for router in ROUTERS), *(site.homing for site in network.sites)]))
    egresses = tuple(Egress(index, routers) for index, routers in enumerate(homings))
    index_of = {egress.routers: egress.index for egress in egresses}
    routes = tuple(
        Route(role_of[site.id].vpn, prefix, index_of[site.homing]) for site in network.sites for prefix in site.prefixes
    )
    return Plan("small", network, CLASSES, SERVICES, vpns, roles, contracts, attachments, egresses, routes)


def plan_with_both_lines() -> Plan:
    """The same where sites with two lines are reached over the nearest."""
    plan = small_plan()
    vpns = tuple(replace(vpn, both_access_links=True) for vpn in plan.vpns)
    return replace(plan, vpns=vpns, egresses=tuple(replace(e, both=len(e.routers) > 1) for e in plan.egresses))


def plan_with_choices(class_name: str) -> Plan:
    """The same where one class goes round what is busy: the fibre between Trondheim and Bergen, overfull both ways."""
    plan, path = small_plan(), PathAlgorithm(PathChoice.LEAST_LOADED)
    classes = tuple(replace(cls, path=path) if cls.name == class_name else cls for cls in plan.classes)
    first = len(plan.egresses)
    apart = tuple(Egress(first + egress.index, egress.routers, path) for egress in plan.egresses)
    full = {egress.routers: egress.index for egress in plan.egresses}
    demand = {("trondheim", full["bergen",]): 2 * 10**9, ("bergen", full["trondheim",]): 2 * 10**9}
    demand |= {(router, egress.index): 10**6 for router in ("trondheim", "bergen") for egress in apart}
    return replace(plan, classes=classes, egresses=plan.egresses + apart, traffic=Traffic(demand))
