"""Adds sites to a backbone that has none, or too few, with the national network's kinds, rates and tiers.

The national network takes locations from reference data; here they are assumptions [A]: national services are at the
three best-connected PoPs, each region's data centre and university hospital at its best-connected PoP, and every PoP
has a hospital. Each PoP has twelve municipalities around it. Norway's population is distributed over the PoPs in
proportion to 1 + the number of their neighbours, and GP practices, pharmacies and municipalities follow population.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from math import cos, sin, sqrt

from helsewan.topology.construction import access, addressing
from helsewan.topology.construction.access import SiteRequest
from helsewan.topology.construction.backbone import Backbone, neighbours
from helsewan.topology.construction.geo import displaced, great_circle_km
from helsewan.topology.model import AccessLink, Kind, Network, Pop, Site
from helsewan.topology.national import site_sampling
from helsewan.topology.national.reference_data import Facility, Municipality, reference_data
from helsewan.topology.national.site_profiles import (
    DUAL_HOMED_TIERS,
    HOSPITAL_RATE_BPS,
    check_size,
    sampled_site,
    unattached_site,
)

SERVICE_TOWNS = 3  # as in services.yaml
CENTRAL_SHARE = 4  # one in this many hospitals of a region is a central one
DISTRICTS = 12  # municipalities for each PoP, as in Norway
DISTRICT_KM = 40.0  # the longest distance from a PoP to a municipality's centre
GOLDEN_ANGLE = 2.399963  # radians; spreads points evenly over a disc (sunflower arrangement)
INHABITANTS = 4_700_000  # Norway, 1 January 2008


def attach(
    name: str, core: Backbone, seed: int, total: int | None, without_sites: frozenset[str] = frozenset()
) -> Network:
    """A network of ``core`` with ``total`` sites; None means hospitals, services and data centres only.

    PoPs in ``without_sites`` get no sites. A larger network contains the smaller one of the same seed.
    Raises ``InputError`` for a ``total`` out of range."""
    town = _Towns(core, without_sites)
    requests = list(town.fixed_sites())
    wanted = len(requests) if total is None else total
    check_size(wanted, len(requests), "hospitals, services and data centres")
    return _with(name, core, seed, [town.attached(request) for request in requests], wanted, town)


def extend(network: Network, seed: int, total: int) -> Network:
    """``network`` with further sites, ``total`` in all; existing sites come first and keep their access links.

    Raises ``InputError`` for fewer sites than it has, or too many."""
    check_size(total, len(network.sites), "the sites in the file")
    core = Backbone(network.pops, network.routers, network.links, network.operations)
    return _with(network.name, core, seed, list(network.sites), total, _Towns(core, frozenset()))


def _with(name: str, core: Backbone, seed: int, sites: list[Site], total: int, town: _Towns) -> Network:
    """The network of ``sites``, filled up to ``total`` with sampled ones."""
    taken = {site.id for site in sites} | {router.id for router in core.routers}
    fresh = (request for request in town.candidates(seed) if request.site.id not in taken)
    first = max((site.index for site in sites), default=0) + 1
    for number, request in enumerate(islice(fresh, total - len(sites)), start=first):
        sites.append(town.attached(replace(request, site=replace(request.site, index=number))))
    return addressing.assemble(name, seed, core, access.numbered(sites))


class _Towns:
    """The backbone's PoPs with their neighbours: locations for sites and their access links."""

    def __init__(self, core: Backbone, without_sites: frozenset[str]) -> None:
        self._neighbours = neighbours(core)
        self._pops = {pop.id: pop for pop in core.pops}
        inhabited = [pop for pop in core.pops if pop.id not in without_sites] or list(core.pops)
        self._best_first = sorted(inhabited, key=lambda pop: (-self._neighbours.degree(pop.id), pop.id))
        self._weight = {pop.id: 1 + self._neighbours.degree(pop.id) for pop in inhabited}
        self._us_per_km = reference_data().fibre_us_per_km

    def fixed_sites(self) -> Iterator[SiteRequest]:
        """Hospitals, services and data centres: the sites that every network has."""
        index = count(1)
        for pop, tier in self._hospitals():
            named = (f"hospital-{pop.id}", f"{pop.town} hospital", Kind.HOSPITAL, next(index))
            site = unattached_site(named, pop.region, (pop.lat, pop.lon), pop.town, tier=tier)
            yield SiteRequest(site, HOSPITAL_RATE_BPS[tier], tier in DUAL_HOMED_TIERS, pop.id)
        for kind, facility, pop in self._facilities():
            named = (facility.id, facility.name, kind, next(index))
            site = unattached_site(named, pop.region, (pop.lat, pop.lon), pop.town, tags=facility.tags)
            yield SiteRequest(site, reference_data().facility_bps, dual=True, via=pop.id)

    def candidates(self, seed: int) -> Iterator[SiteRequest]:
        """GP practices, pharmacies and municipalities in sampling order; the caller sets their indices."""
        pop_of = {district: pop.id for pop in self._best_first for district in self._districts(pop)}
        for candidate in site_sampling.candidates(list(pop_of), seed):
            yield replace(sampled_site(candidate, 0, seed), via=pop_of[candidate.municipality])

    def attached(self, request: SiteRequest) -> Site:
        """The requested site with its access links: to its PoP and, as backup, past it to the nearest neighbour."""
        pop = self._pops[request.via]
        km = great_circle_km(request.site.lat, request.site.lon, pop.lat, pop.lon)
        delay_us = access.access_delay_us(km, self._us_per_km)
        homes = [(pop, delay_us)]
        around = self._neighbours[pop.id]
        if request.dual and around:
            backup = min(around, key=lambda other: (around[other]["delay_us"], other))
            homes.append((self._pops[backup], delay_us + around[backup]["delay_us"]))
        accesses = (
            AccessLink(home.routers[request.site.index % len(home.routers)], access.UNNUMBERED, request.rate_bps, us)
            for home, us in homes
        )
        return replace(request.site, accesses=tuple(accesses))

    def _hospitals(self) -> Iterator[tuple[Pop, str]]:
        """Every PoP that may have sites, with its hospital's tier, in the backbone's order."""
        ranks: dict[str, tuple[int, int]] = {}
        for region in {pop.region for pop in self._best_first}:
            ranked = [pop.id for pop in self._best_first if pop.region is region]
            ranks |= {pop: (rank, len(ranked)) for rank, pop in enumerate(ranked)}
        for pop in (pop for pop in self._pops.values() if pop.id in ranks):
            rank, among = ranks[pop.id]
            yield pop, "university" if rank == 0 else "central" if rank <= among // CENTRAL_SHARE else "local"

    def _facilities(self) -> Iterator[tuple[Kind, Facility, Pop]]:
        """Services, round robin over the best-connected PoPs; a data centre at each region's best-connected PoP."""
        for number, service in enumerate(reference_data().services):
            yield Kind.SERVICE, service, self._best_first[number % min(SERVICE_TOWNS, len(self._best_first))]
        for centre in reference_data().datacentres:
            home = next((pop for pop in self._best_first if centre.id == f"datacentre-{pop.region.value}"), None)
            if home is not None:
                yield Kind.DATACENTRE, centre, home

    def _districts(self, pop: Pop) -> Sequence[Municipality]:
        """A PoP's municipalities, the first in the town itself; the n-th has a population proportional to 1/n."""
        people = INHABITANTS * self._weight[pop.id] / sum(self._weight.values())
        whole = sum(1 / number for number in range(1, DISTRICTS + 1))
        found = []
        for number in range(1, DISTRICTS + 1):
            far, turn = DISTRICT_KM * sqrt((number - 1) / DISTRICTS), GOLDEN_ANGLE * number
            lat, lon = displaced(pop.lat, pop.lon, far * cos(turn), far * sin(turn))
            size = max(1, round(people / whole / number))
            found.append(Municipality(f"{pop.id}-{number}", f"{pop.town} {number}", pop.region, lat, lon, size))
        return found
