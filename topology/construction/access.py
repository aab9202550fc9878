"""Access links: the routers that a site is attached to, with delay and VLAN."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from helsewan.common.errors import InputError, Problem
from helsewan.topology.construction.geo import Vector, great_circle_km, unit_vector
from helsewan.topology.model import AccessLink, Pop, Site

UNNUMBERED = 0  # the VLAN of an access link before numbering
FIRST_VLAN, LAST_VLAN = 2, 4094  # IEEE 802.1Q: 0 and 4095 are reserved; 1 is many switches' default
ROUTING_FACTOR = 1.4  # [A] ratio of fibre length to great-circle distance
MIN_DELAY_US = 50  # [A] one-way delay of 10 km of fibre: minimum length and equipment delay


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """A site to attach: ``rate_bps`` of each access link, ``dual`` for a backup to another town, ``via`` the id of the
    primary's PoP if it is not the nearest one."""

    site: Site
    rate_bps: int
    dual: bool = False
    via: str = ""


def attach_sites(requests: Iterable[SiteRequest], pops: Sequence[Pop], us_per_km: float) -> list[Site]:
    """The requested sites with their access links, in the order of ``requests``.

    The primary leads to the nearest PoP, the backup to the second nearest; in a PoP with several routers, sites
    alternate by index. VLANs count up per router. ``us_per_km`` is the delay of fibre.

    Raises ``InputError`` when a router runs out of VLANs.
    """
    placed = [(unit_vector(pop.lat, pop.lon), pop) for pop in pops]
    return numbered(_attached(request, placed, us_per_km) for request in requests)


def access_delay_us(km: float, us_per_km: float) -> int:
    """One-way delay of an access link to a site at ``km`` great-circle distance."""
    return max(MIN_DELAY_US, round(km * ROUTING_FACTOR * us_per_km))


def numbered(sites: Iterable[Site]) -> list[Site]:
    """The sites with VLANs assigned to their access links, counting up per router; earlier VLANs are replaced.

    Raises ``InputError`` when a router runs out of VLANs.
    """
    next_vlan: dict[str, int] = {}
    done: list[Site] = []
    for site in sites:
        accesses = []
        for access in site.accesses:
            vlan = next_vlan.get(access.router, FIRST_VLAN)
            next_vlan[access.router] = vlan + 1
            accesses.append(replace(access, vlan=vlan))
        done.append(replace(site, accesses=tuple(accesses)))
    full = [router for router, vlan in next_vlan.items() if vlan > LAST_VLAN + 1]
    if full:
        reason = f"more than {LAST_VLAN - FIRST_VLAN + 1} access links, as many as there are VLANs"
        raise InputError(*(Problem(f"router {router}", None, reason, "use fewer sites") for router in full))
    return done


def _attached(request: SiteRequest, placed: Sequence[tuple[Vector, Pop]], us_per_km: float) -> Site:
    """A requested site with its access links, without VLANs."""
    site = request.site
    accesses = []
    for pop in _homes(request, placed):
        router = pop.routers[site.index % len(pop.routers)]
        km = great_circle_km(site.lat, site.lon, pop.lat, pop.lon)
        accesses.append(AccessLink(router, UNNUMBERED, request.rate_bps, access_delay_us(km, us_per_km)))
    return replace(site, accesses=tuple(accesses))


def _homes(request: SiteRequest, placed: Sequence[tuple[Vector, Pop]]) -> tuple[Pop, ...]:
    """The PoPs of a request's access links, primary first."""
    x, y, z = unit_vector(request.site.lat, request.site.lon)
    ranked = sorted((pop.id != request.via, -(x * a + y * b + z * c), pop.id, pop) for (a, b, c), pop in placed)
    return tuple(pop for *_, pop in ranked[: 1 + request.dual])
