"""The national health network: backbone, sites of every kind, access lines and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import cos, sin, sqrt, tau
from random import Random

from topology import access, addressing, allotment, backbone
from topology.access import Order
from topology.allotment import Candidate
from topology.atlas import Atlas, Facility, Hospital, Municipality, Town, atlas
from topology.errors import InputError, Problem
from topology.geo import displaced
from topology.model import Kind, Network, Region, Site

MAX_SITES = 20_000

# [A] Rates and homing by what a site is: data/README.md, "Access lines".
HOSPITAL_RATE_BPS = {"university": 1_000_000_000, "central": 100_000_000, "local": 34_000_000}
DUAL_HOMED_TIERS = frozenset({"university", "central"})
MUNICIPALITY_RATE_BPS = 10_000_000
SMALL_SITE_RATES_BPS = ((50_000, 10_000_000), (10_000, 4_000_000), (0, 2_000_000))  # (inhabitants from, rate)
SCATTER_KM = 8.0  # [A] how far from its municipality's centre a GP practice or pharmacy stands at most

_SMALL = {Kind.GP: "GP practice", Kind.PHARMACY: "pharmacy"}


def national_network(sites: int | None = 400, seed: int = 1, swedish_route: bool = False) -> Network:
    """The network with ``sites`` sites; ``None`` means hospitals, services and data centres only.

    The same arguments give the same network, and a larger network contains the sites and lines of a
    smaller one of the same seed. ``swedish_route`` adds the way Narvik-Stockholm-Oslo.
    Raises ``InputError`` for a size that cannot be.
    """
    data = atlas()
    orders = list(_standing(data))
    total = len(orders) if sites is None else sites
    _check_size(total, len(orders))
    drawn = islice(allotment.candidates(data.municipalities, seed), total - len(orders))
    orders += [_drawn(candidate, index, seed) for index, candidate in enumerate(drawn, start=len(orders) + 1)]
    core = backbone.build(data, swedish_route)
    addressed = addressing.assign(access.plug_in(orders, core.pops, data.fibre_us_per_km))
    return Network(
        name=f"norway-{total}" + ("-swedish-route" if swedish_route else ""),
        seed=seed,
        pops=core.pops,
        routers=core.routers,
        links=core.links,
        sites=addressed.sites,
        zones4=addressed.zones4,
        zones6=addressed.zones6,
        blocks4=addressed.blocks4,
    )


def _check_size(total: int, least: int) -> None:
    if total < least:
        reason, hint = "is too few", f"hospitals, services and data centres alone are {least}"
    elif total > MAX_SITES:
        reason, hint = "is too many", f"use {MAX_SITES} at most"
    else:
        return
    raise InputError(Problem("--sites", total, reason, hint))


def _standing(data: Atlas) -> Iterator[Order]:
    """The sites that every network has: hospitals, services, data centres."""
    towns = {town.id: town for town in data.towns}
    facilities = [(Kind.SERVICE, facility) for facility in data.services]
    facilities += [(Kind.DATACENTRE, facility) for facility in data.datacentres]
    for index, hospital in enumerate(data.hospitals, start=1):
        yield _hospital(hospital, index)
    for index, (kind, facility) in enumerate(facilities, start=len(data.hospitals) + 1):
        yield _facility(facility, kind, towns[facility.pop], index, data.facility_bps)


def _hospital(hospital: Hospital, index: int) -> Order:
    site = _site(
        (hospital.id, hospital.name, Kind.HOSPITAL, index),
        hospital.region,
        (hospital.lat, hospital.lon),
        hospital.municipality,
        tier=hospital.tier,
        tags=frozenset({hospital.trust}),
    )
    return Order(site, HOSPITAL_RATE_BPS[hospital.tier], hospital.tier in DUAL_HOMED_TIERS, hospital.via)


def _facility(facility: Facility, kind: Kind, town: Town, index: int, rate_bps: int) -> Order:
    name = (facility.id, facility.name, kind, index)
    site = _site(name, town.region, (town.lat, town.lon), town.name, tags=facility.tags)
    return Order(site, rate_bps, dual=True)


def _drawn(candidate: Candidate, index: int, seed: int) -> Order:
    """A municipality at its centre, or a GP practice or pharmacy somewhere around it."""
    place, kind = candidate.municipality, candidate.kind
    if kind is Kind.MUNICIPALITY:
        id_, name = f"municipality-{place.id}", f"{place.name} municipality"
        point, rate_bps = (place.lat, place.lon), MUNICIPALITY_RATE_BPS
    else:
        id_, name = f"{kind.value}-{place.id}-{candidate.number}", f"{place.name} {_SMALL[kind]} {candidate.number}"
        point = _scattered(place, Random(f"{seed}:{id_}"))
        rate_bps = next(rate for least, rate in SMALL_SITE_RATES_BPS if place.population >= least)
    return Order(_site((id_, name, kind, index), place.region, point, place.name), rate_bps)


def _site(
    naming: tuple[str, str, Kind, int],
    region: Region,
    point: tuple[float, float],
    municipality: str,
    tier: str = "",
    tags: frozenset[str] = frozenset(),
) -> Site:
    """A site named (id, name, kind, index) at a point (lat, lon), without lines and addresses so far."""
    id_, name, kind, index = naming
    lat, lon = point
    return Site(
        id=id_,
        name=name,
        kind=kind,
        region=region,
        lat=lat,
        lon=lon,
        municipality=municipality,
        index=index,
        accesses=(),
        prefix4=addressing.UNASSIGNED4,
        prefix6=addressing.UNASSIGNED6,
        tier=tier,
        tags=tags,
    )


def _scattered(place: Municipality, random: Random) -> tuple[float, float]:
    """A point evenly drawn from the disc around a municipality's centre, to about 10 m."""
    distance_km, angle = SCATTER_KM * sqrt(random.random()), tau * random.random()
    lat, lon = displaced(place.lat, place.lon, distance_km * cos(angle), distance_km * sin(angle))
    return round(lat, 4), round(lon, 4)
