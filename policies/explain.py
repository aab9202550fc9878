"""Why two sites may or may not talk: the answer of the plan, service by service."""

from __future__ import annotations

from dataclasses import dataclass

from policies.plan import Contract, Plan


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether ``service`` may be opened; ``contract`` and ``source`` (``file:line``) are empty if not."""

    service: str
    allowed: bool
    contract: str
    source: str


def is_allowed(plan: Plan, client_site: str, server_site: str, service_name: str) -> Contract | None:
    """The contract under which ``client_site`` may open ``service_name`` to ``server_site``, else None.

    Raises ``KeyError`` for a site the plan does not know.
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
