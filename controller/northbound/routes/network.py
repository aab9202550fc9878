"""Endpoints of the network: topology, sites, VPNs, paths, counters, faults."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.controller.northbound.context import Parts, Who, problem_responses
from helsewan.controller.northbound.problems import bad_input, no_such
from helsewan.controller.northbound.views import path_view, views
from helsewan.controller.northbound.views.models import (
    FaultsOut,
    PathsOut,
    RouterCountersOut,
    SiteOut,
    SitesOut,
    TopologyOut,
    VpnOut,
    VpnSitesOut,
)
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Network, Region
from helsewan.topology.place_names import routers_named, site_named

MAX_SITES = 1000  # on one page
_PLACE = "A site, PoP or router; `site:`, `pop:` or `router:` before it where several have one name."
_LINK_OR_POP = "A link or PoP; `link:` or `pop:` before it where both have one name."
_NO_PLACE = problem_responses(s404="no such link or PoP", s409="the name of a link and of a PoP")

Place = Annotated[str, Path(description=_LINK_OR_POP)]

routes = APIRouter(prefix="/v1")


@routes.get("/topology")
def topology(parts: Parts) -> TopologyOut:
    """PoPs, routers and links: their state, capacity, and load at the busiest hour."""
    plan, state = parts.controller.plan(), parts.controller.state()
    return views.topology(plan, state, parts.cache.demand_bps(plan, state))


@routes.get("/sites", responses=problem_responses(s422="no such region, kind or VPN"))
def sites(
    parts: Parts,
    region: Region | None = None,
    kind: Kind | None = None,
    vpn: str | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_SITES)] = 100,
) -> SitesOut:
    """Sites in the network's order, a page at a time."""
    plan = parts.controller.plan()
    if vpn is not None and vpn not in plan.vpn:
        raise bad_input([Problem("vpn", vpn, "is no VPN of this policy", nearest(vpn, plan.vpn))])
    found = [
        site
        for site in plan.network.sites
        if region in (None, site.region) and kind in (None, site.kind) and vpn in (None, plan.role_of_site[site.id].vpn)
    ]
    page = [views.site(plan, site) for site in found[offset : offset + limit]]
    return SitesOut(total=len(found), offset=offset, sites=page)


@routes.get("/sites/{site}", responses=problem_responses(s404="no such site"))
def one_site(parts: Parts, site: str) -> SiteOut:
    """One site."""
    plan = parts.controller.plan()
    id_ = site_named(plan.network, site)
    if id_ is None:
        raise no_such("site", site, "is no site of this network", nearest(site, plan.network.site))
    return views.site(plan, plan.network.site[id_])


@routes.get("/vpns")
def vpns(parts: Parts) -> list[VpnOut]:
    """VPNs with their route targets and labels."""
    plan = parts.controller.plan()
    return [views.vpn(plan, vpn) for vpn in plan.vpns]


@routes.get("/vpns/{vpn}", responses=problem_responses(s404="no such VPN"))
def one_vpn(parts: Parts, vpn: str) -> VpnSitesOut:
    """One VPN with its members."""
    plan = parts.controller.plan()
    if vpn not in plan.vpn:
        raise no_such("vpn", vpn, "is no VPN of this policy", nearest(vpn, plan.vpn))
    return views.vpn_with_sites(plan, plan.vpn[vpn])


@routes.get(
    "/paths",
    responses=problem_responses(
        s404="no such site, PoP or router", s409="a name of several places", s422="no path is needed there"
    ),
)
def paths(
    parts: Parts,
    start: Annotated[str, Query(alias="from", description=_PLACE)],
    end: Annotated[str, Query(alias="to", description="Another.")],
) -> PathsOut:
    """The present path of each class from one place to another, its path after the failure of each link on it, and up
    to three mutually independent paths between the places."""
    plan, state = parts.controller.plan(), parts.controller.state()
    network = plan.network
    here, there = _routers(network, "from", start), _routers(network, "to", end)
    classes = path_view.class_paths(
        plan, parts.cache.paths(plan, state), here[0], _homing(plan, end, there), state["links_down"]
    )
    independent = [path_view.path_out(path) for path in parts.cache.independent(network, here, there)]
    return PathsOut(start=start, end=end, classes=classes, independent=independent)


@routes.get(
    "/counters/{router}", responses=problem_responses(s404="no such router", s502="the router does not report counters")
)
def counters(parts: Parts, router: str) -> RouterCountersOut:
    """Packets that a router's tables dropped, by reason, and packets that its contracts accepted, by class."""
    return parts.counters.of(router)


@routes.get("/faults")
def faults(parts: Parts) -> FaultsOut:
    """Links that are down, routers that are not connected, and what is out of service."""
    return views.faults(parts.controller.state())


@routes.put("/faults/{place}", responses={202: {"model": FaultsOut}, **_NO_PLACE})
def withdraw(parts: Parts, who: Who, place: Place, response: Response) -> FaultsOut:
    """Takes a link, or all links to a PoP, out of service: packets are rerouted, and use it only where there is no
    other path (compare RFC 8379 and RFC 6987). 200 once new paths are in use, 202 if that takes longer."""
    return _accepted(parts.service.set_in_service(place, False, who), response)


@routes.delete("/faults/{place}", responses={202: {"model": FaultsOut}, **_NO_PLACE})
def restore(parts: Parts, who: Who, place: Place, response: Response) -> FaultsOut:
    """Puts a link or PoP back into service."""
    return _accepted(parts.service.set_in_service(place, True, who), response)


def _accepted(faults: FaultsOut, response: Response) -> FaultsOut:
    response.status_code = 200 if faults.in_effect else 202
    return faults


def _routers(network: Network, where: str, place: str) -> tuple[str, ...]:
    """The routers of a site, PoP or router, the one in use first. Raises ProblemDetails, AmbiguousName."""
    if found := routers_named(network, place, where):
        return found
    hint = nearest(place, (*network.pop, *network.site))
    raise no_such(where, place, "is no site, PoP or router of this network", hint)


def _homing(plan: Plan, place: str, routers: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The egress set of packets to a place, in the form of `Plan.homing_of`: a site's own, else one whose first router
    is one of ``routers``. Raises ProblemDetails where there is none."""
    if site := site_named(plan.network, place):
        return plan.homing_of(site)
    sets = {(egress.routers, egress.both) for egress in plan.egresses}
    if (routers, False) in sets:
        return routers, False
    found = sorted(each for each in sets if each[0][0] in routers)
    if not found:
        raise no_such("to", place, "has no site, so no packets go there", "name a site")
    return found[0]
