"""Sites of each kind with their access rates and homing, before their access links are assigned."""

from __future__ import annotations

from math import cos, sin, sqrt, tau
from random import Random

from helsewan.common.errors import InputError, Problem
from helsewan.topology.construction import addressing
from helsewan.topology.construction.access import SiteRequest
from helsewan.topology.construction.geo import displaced
from helsewan.topology.model import Kind, Region, Site
from helsewan.topology.national.reference_data import Municipality
from helsewan.topology.national.site_sampling import Candidate

# [A] Rates and homing by kind of site: data/README.md, "Access links".
HOSPITAL_RATE_BPS = {"university": 1_000_000_000, "central": 100_000_000, "local": 34_000_000}
DUAL_HOMED_TIERS = frozenset({"university", "central"})
MUNICIPALITY_RATE_BPS = 10_000_000
SMALL_SITE_RATES_BPS = ((50_000, 10_000_000), (10_000, 4_000_000), (0, 2_000_000))  # (inhabitants from, rate)
MAX_SITES = 20_000
SCATTER_KM = 8.0  # [A] the longest distance from a municipality's centre to its GP practices and pharmacies

_SMALL = {Kind.GP: "GP practice", Kind.PHARMACY: "pharmacy"}


def check_size(total: int, least: int, fixed_sites: str) -> None:
    """Raise ``InputError`` if ``total`` sites are fewer than ``least``, which ``fixed_sites`` describes in the hint, or
    more than ``MAX_SITES``."""
    if total < least:
        reason, hint = "is too few", f"{fixed_sites} alone are {least}"
    elif total > MAX_SITES:
        reason, hint = "is too many", f"use {MAX_SITES} at most"
    else:
        return
    raise InputError(Problem("--sites", total, reason, hint))


def sampled_site(candidate: Candidate, index: int, seed: int) -> SiteRequest:
    """The request for a candidate: a municipality at its centre, or a GP practice or pharmacy within ``SCATTER_KM``."""
    place, kind = candidate.municipality, candidate.kind
    if kind is Kind.MUNICIPALITY:
        id_, name = f"municipality-{place.id}", f"{place.name} municipality"
        point, rate_bps = (place.lat, place.lon), MUNICIPALITY_RATE_BPS
    else:
        id_, name = f"{kind.value}-{place.id}-{candidate.number}", f"{place.name} {_SMALL[kind]} {candidate.number}"
        point = _scattered(place, Random(f"{seed}:{id_}"))
        rate_bps = next(rate for least, rate in SMALL_SITE_RATES_BPS if place.population >= least)
    return SiteRequest(unattached_site((id_, name, kind, index), place.region, point, place.name), rate_bps)


def unattached_site(
    naming: tuple[str, str, Kind, int],
    region: Region,
    point: tuple[float, float],
    municipality: str,
    tier: str = "",
    tags: frozenset[str] = frozenset(),
) -> Site:
    """A site with ``naming`` (id, name, kind, index) at ``point`` (lat, lon), without access links and addresses."""
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
    """A point sampled uniformly from the disc around a municipality's centre, rounded to about 10 m."""
    distance_km, angle = SCATTER_KM * sqrt(random.random()), tau * random.random()
    lat, lon = displaced(place.lat, place.lon, distance_km * cos(angle), distance_km * sin(angle))
    return round(lat, 4), round(lon, 4)
