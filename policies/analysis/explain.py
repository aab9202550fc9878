"""Explains, service by service, why one site may or may not open it to another."""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.policies.language.ports import joined
from helsewan.policies.language.protocols import protocol_name
from helsewan.policies.plan import Contract, Plan, Vpn

_MAX_NEAREST = 3  # nearest contracts that are named


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether ``service`` may be opened; ``contract`` and ``source`` (``file:line``) are empty if not."""

    service: str
    allowed: bool
    contract: str
    source: str


@dataclass(frozen=True, slots=True)
class NoRoute:
    """A VPN without routes to another: it imports none of ``targets``, the route targets that the other exports."""

    vpn: str
    towards: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NearContract:
    """A contract that differs from the request in one respect, its ``file:line``, and what it allows instead."""

    contract: str
    source: str
    allows: str


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a service may not be opened: missing routes in either direction, and the contracts nearest to the request,
    none of which allows it."""

    no_routes: tuple[NoRoute, ...]
    nearest: tuple[NearContract, ...]


@dataclass(frozen=True, slots=True)
class StatelessReply:
    """Packets of ``protocol`` that ``sender`` may send to ``receiver`` at any time, from ``ports``, since switches keep
    no state and take them for replies of ``service``, which ``receiver`` may open by ``contract``."""

    sender: str
    receiver: str
    service: str
    protocol: str
    ports: str
    contract: str
    source: str


def stateless_replies(plan: Plan, site_a: str, site_b: str) -> tuple[StatelessReply, ...]:
    """What the two sites may send each other as replies without having been asked: over all protocols but TCP, where a
    reply has ACK or RST, and ICMP, where it has a type of its own."""
    return tuple(
        StatelessReply(
            server,
            client,
            service.name,
            protocol_name(service.protocol),
            ", ".join(map(str, joined(service.ports))),
            contract.name,
            contract.source,
        )
        for client, server in ((site_a, site_b), (site_b, site_a))
        for service in plan.services
        if not service.protocol.tells_replies
        and (contract := is_allowed(plan, client, server, service.name)) is not None
    )


def is_allowed(plan: Plan, client_site: str, server_site: str, service_name: str) -> Contract | None:
    """The contract under which ``client_site`` may open ``service_name`` to ``server_site``, else None.

    Raises ``KeyError`` for a site that is not in the plan.
    """
    key = (plan.role_of_site[client_site].id, plan.role_of_site[server_site].id, service_name)
    if key not in plan.allowed:
        return None
    return next(contract for contract in plan.contracts if (contract.client, contract.server, contract.service) == key)


def explain(plan: Plan, site_a: str, site_b: str) -> list[Explanation]:
    """What ``site_a`` may open to ``site_b``, for every service of the catalogue in its order."""
    return [_explain(service.name, is_allowed(plan, site_a, site_b, service.name)) for service in plan.services]


def _explain(service: str, contract: Contract | None) -> Explanation:
    if contract is None:
        return Explanation(service, False, "", "")
    return Explanation(service, True, contract.name, contract.source)


def shared_targets(plan: Plan, vpn: str, towards: str) -> tuple[str, ...]:
    """The route targets by which VPN ``vpn`` imports the routes of VPN ``towards``."""
    return tuple(sorted(plan.vpn[vpn].imports & plan.vpn[towards].exports))


def why_denied(plan: Plan, client_site: str, server_site: str, service: str) -> Denial:
    """Why ``client_site`` may not open ``service`` to ``server_site``. Raises ``KeyError`` for an unknown site."""
    here, there = (plan.vpn[plan.role_of_site[site].vpn] for site in (client_site, server_site))
    pairs = dict.fromkeys([(here, there), (there, here)])
    return Denial(
        tuple(_no_route(*pair) for pair in pairs if not pair[0].imports & pair[1].exports),
        _nearest(plan, client_site, server_site, service),
    )


def _no_route(vpn: Vpn, towards: Vpn) -> NoRoute:
    return NoRoute(vpn.name, towards.name, tuple(sorted(towards.exports)))


def _nearest(plan: Plan, client_site: str, server_site: str, service: str) -> tuple[NearContract, ...]:
    """The contracts that differ in one respect: opposite direction, other service, other server, other client; in this
    order."""
    client, server = plan.role_of_site[client_site].id, plan.role_of_site[server_site].id
    same = [contract for contract in plan.contracts if contract.service == service]
    between = [each for each in plan.contracts if (each.client, each.server) == (client, server)]
    services: dict[str, list[str]] = {}
    for each in between:
        services.setdefault(each.name, []).append(each.service)
    found = [
        *((each, f"{server_site} to open it") for each in same if (each.client, each.server) == (server, client)),
        *((each, f"{client_site} to open {', '.join(services[each.name])}") for each in between),
        *((each, f"{client_site} to open it to other sites") for each in same if each.client == client),
        *((each, "other sites to open it") for each in same if each.server == server),
    ]
    nearest: dict[str, NearContract] = {}
    for contract, allows in found:
        nearest.setdefault(contract.name, NearContract(contract.name, contract.source, allows))
    return tuple(nearest.values())[:_MAX_NEAREST]
