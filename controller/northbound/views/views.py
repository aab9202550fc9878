"""The network and its policy as responses, made from the plan and the controller's state. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helsewan.controller.northbound.views.models import (
    AccessOut,
    FaultsOut,
    LinkOut,
    PolicyOut,
    PopOut,
    RouterOut,
    SiteOut,
    TopologyOut,
    VpnOut,
    VpnSitesOut,
    WithdrawnOut,
)
from helsewan.policies.plan import Plan, Vpn
from helsewan.topology.model import Site

State = Mapping[str, Any]


def topology(plan: Plan, state: State, demand_bps: Mapping[tuple[str, str], int]) -> TopologyOut:
    """The backbone; ``demand_bps`` by (link, router that it leaves)."""
    network = plan.network
    down, withdrawn = frozenset(state["links_down"]), withdrawn_links(state)
    return TopologyOut(
        network=network.name,
        pops=[
            PopOut(id=pop.id, town=pop.town, region=pop.region.value, routers=list(pop.routers)) for pop in network.pops
        ],
        routers=[
            RouterOut(id=router.id, pop=router.pop, number=router.index, **state["routers"][router.id])
            for router in network.routers
        ],
        lines=[
            LinkOut(
                id=link.id,
                a=link.a,
                b=link.b,
                state="down" if link.id in down else "up",
                in_service=link.id not in withdrawn,
                capacity_bps=link.rate_bps,
                demand_bps=(demand_bps.get((link.id, link.a), 0), demand_bps.get((link.id, link.b), 0)),
                delay_us=link.delay_us,
                fibre_km=link.fibre_km,
                shared_risks=list(link.srlg),
            )
            for link in network.links
        ],
    )


def site(plan: Plan, each: Site) -> SiteOut:
    """One site."""
    role = plan.role_of_site[each.id]
    attachments = {attachment.backup: attachment for attachment in plan.attachments_of[each.id]}
    return SiteOut(
        id=each.id,
        name=each.name,
        kind=each.kind.value,
        region=each.region.value,
        municipality=each.municipality,
        vpn=role.vpn,
        role=role.name,
        prefix4=str(each.prefix4),
        prefix6=str(each.prefix6),
        lines=[
            AccessOut(
                router=access.router,
                vlan=access.vlan,
                backup=number > 0,
                rate_bps=access.rate_bps,
                delay_us=access.delay_us,
                mtu_bytes=access.mtu_bytes,
                policed_bps=dict(attachments[number > 0].police),
            )
            for number, access in enumerate(each.accesses)
        ],
    )


def vpn(plan: Plan, each: Vpn) -> VpnOut:
    """One VPN."""
    return VpnOut(
        name=each.name,
        number=each.id,
        label4=each.label,
        label6=each.label6,
        imports=sorted(each.imports),
        exports=sorted(each.exports),
        sees=[other.name for other in plan.imports_from(each)],
        members=len(each.sites),
    )


def vpn_with_sites(plan: Plan, each: Vpn) -> VpnSitesOut:
    """One VPN with its members."""
    return VpnSitesOut(**vpn(plan, each).model_dump(), sites=list(each.sites))


def policy(plan: Plan, state: State) -> PolicyOut:
    """The policy in force."""
    return PolicyOut(
        name=plan.policy,
        version=state["version"],
        vpns=len(plan.vpns),
        services=len(plan.services),
        contracts=len(plan.contracts),
        classes=[cls.name for cls in plan.classes],
        source=plan.source,
    )


def faults(state: State) -> FaultsOut:
    """Links that are down, routers that are not connected, and what is out of service."""
    return FaultsOut(
        lines_down=state["links_down"],
        routers_away=[router for router, each in state["routers"].items() if not each["connected"]],
        withdrawn=[WithdrawnOut(place=place, lines=links) for place, links in state["withdrawn"].items()],
        in_effect=withdrawn_links(state) == frozenset(state["paths"]["withdrawn"]),
    )


def withdrawn_links(state: State) -> frozenset[str]:
    """The links that are out of service, themselves or with a PoP."""
    return frozenset[str]().union(*state["withdrawn"].values())
