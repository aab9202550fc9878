"""The national health network: backbone, sites of every kind, access links and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from helsewan.topology.construction import access, addressing, backbone
from helsewan.topology.construction.access import SiteRequest
from helsewan.topology.model import Kind, Network
from helsewan.topology.national import site_sampling
from helsewan.topology.national.reference_data import Facility, Hospital, ReferenceData, Town, reference_data
from helsewan.topology.national.site_profiles import (
    DUAL_HOMED_TIERS,
    HOSPITAL_RATE_BPS,
    check_size,
    sampled_site,
    unattached_site,
)


def national_network(sites: int | None = 400, seed: int = 1, swedish_route: bool = False) -> Network:
    """The network with ``sites`` sites; ``None`` means hospitals, services and data centres only.

    Deterministic; a larger network contains the sites and access links of a smaller one of the same seed.
    ``swedish_route`` adds the link Narvik-Stockholm-Oslo. Raises ``InputError`` for a number of sites out of range.
    """
    data = reference_data()
    requests = list(_fixed_sites(data))
    total = len(requests) if sites is None else sites
    check_size(total, len(requests), "hospitals, services and data centres")
    chosen = islice(site_sampling.candidates(data.municipalities, seed), total - len(requests))
    requests += [
        sampled_site(candidate, index, seed) for index, candidate in enumerate(chosen, start=len(requests) + 1)
    ]
    core = backbone.build(data, swedish_route)
    name = f"norway-{total}" + ("-swedish-route" if swedish_route else "")
    return addressing.assemble(name, seed, core, access.attach_sites(requests, core.pops, data.fibre_us_per_km))


def _fixed_sites(data: ReferenceData) -> Iterator[SiteRequest]:
    """Hospitals, services and data centres: the sites that every network has."""
    towns = {town.id: town for town in data.towns}
    facilities = [(Kind.SERVICE, facility) for facility in data.services]
    facilities += [(Kind.DATACENTRE, facility) for facility in data.datacentres]
    for index, hospital in enumerate(data.hospitals, start=1):
        yield _hospital(hospital, index)
    for index, (kind, facility) in enumerate(facilities, start=len(data.hospitals) + 1):
        yield _facility(facility, kind, towns[facility.pop], index, data.facility_bps)


def _hospital(hospital: Hospital, index: int) -> SiteRequest:
    site = unattached_site(
        (hospital.id, hospital.name, Kind.HOSPITAL, index),
        hospital.region,
        (hospital.lat, hospital.lon),
        hospital.municipality,
        tier=hospital.tier,
        tags=frozenset({hospital.trust}),
    )
    return SiteRequest(site, HOSPITAL_RATE_BPS[hospital.tier], hospital.tier in DUAL_HOMED_TIERS, hospital.via)


def _facility(facility: Facility, kind: Kind, town: Town, index: int, rate_bps: int) -> SiteRequest:
    name = (facility.id, facility.name, kind, index)
    site = unattached_site(name, town.region, (town.lat, town.lon), town.name, tags=facility.tags)
    return SiteRequest(site, rate_bps, dual=True)
