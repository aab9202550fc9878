"""What ``helsewan up`` prints once the network is up: commands that work on this network under this policy. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from helsewan.common.counts import counted
from helsewan.policies.plan import Plan, Protocol
from helsewan.topology.model import access_link_name


def permitted_ping(plan: Plan) -> tuple[str, str] | None:
    """Two sites of which the policy lets the first ping the second; None where no site may ping another.

    Asks the compiled plan: a contract for ICMP, and routes in both directions."""
    icmp = {service.name for service in plan.services if service.protocol is Protocol.ICMP}
    sites = {role.id: role.sites for role in plan.roles}
    vpns = {role.id: plan.vpn[role.vpn] for role in plan.roles}
    for contract in plan.contracts:
        client, server = vpns[contract.client], vpns[contract.server]
        if contract.service not in icmp or not (client.imports & server.exports and server.imports & client.exports):
            continue
        if pair := _two(sites[contract.client], sites[contract.server]):
            return pair
    return None


def _two(clients: Iterable[str], servers: Iterable[str]) -> tuple[str, str] | None:
    """The first client and server that are two sites."""
    return next((pair for pair in product(clients, servers) if pair[0] != pair[1]), None)


def size(plan: Plan) -> str:
    """The network's size and policy, such as ``2 sites, 1 router, policy open``."""
    sites, routers = len(plan.network.sites), len(plan.network.routers)
    return f"{counted(sites, 'site')}, {counted(routers, 'router')}, policy {plan.policy}"


def usage(plan: Plan, options: str) -> list[str]:
    """Commands to try on the network; ``options`` is what each needs to select it (empty, or `` --name NAME``).

    Whatever the network lacks (a pair that may ping, a site, a link) has no line."""
    network = plan.network
    lines = [f"helsewan status{options}"]
    site = network.sites[0].id if network.sites else None
    if pair := permitted_ping(plan):
        site, other = pair
        lines.append(f"helsewan exec{options} {site} -- ping -c 3 {network.site[other].address4}")
    if site is not None:
        lines.append(f"helsewan shell{options} {site}")
    links = [link.id for link in network.links] + [access_link_name(each.id, 0) for each in network.sites]
    if links:
        lines.append(f"helsewan link set{options} {links[0]} --delay 20ms --loss 1%")
    return [*lines, f"helsewan down{options}"]
