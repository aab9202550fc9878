"""Renumbers a new plan with the identifiers of the previous one, so that a policy change touches no unrelated rule.

A number that packets carry from switch to switch keeps its meaning as long as packets may carry it: a VPN keeps its
label only if no address in it is reassigned to another site. Numbers used inside one switch only (roles, contracts) are
kept where possible, so that rules stay the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from itertools import count, pairwise

from helsewan.policies.plan import Plan, Role, Vpn
from helsewan.topology.model import Network


def renumbered(plan: Plan, before: Plan) -> Plan:
    """``plan`` with the numbers that VPNs, roles and contracts have in ``before``, and unused ones for new objects."""
    vpns = _vpns(plan, before)
    role_id = _roles(plan, before)
    contract_id = {(each.client, each.server, each.service): each.id for each in before.contracts}
    unused = _unused(contract_id.values(), 0)
    contracts = []
    for contract in plan.contracts:
        client, server = role_id[contract.client], role_id[contract.server]
        number = contract_id.get((client, server, contract.service))
        number = next(unused) if number is None else number
        contracts.append(replace(contract, client=client, server=server, id=number))
    return replace(
        plan,
        vpns=vpns,
        roles=tuple(replace(role, id=role_id[role.id]) for role in plan.roles),
        contracts=tuple(contracts),
        attachments=tuple(replace(link, role=role_id[link.role]) for link in plan.attachments),
        answers_neighbours=before.answers_neighbours,
    )


def _vpns(plan: Plan, before: Plan) -> tuple[Vpn, ...]:
    unused_ids = _unused({vpn.id for vpn in before.vpns}, 1)
    unused_labels = _unused({vpn.label for vpn in before.vpns}, min(vpn.label for vpn in before.vpns))
    unused_labels6 = _unused({vpn.label6 for vpn in before.vpns}, min(vpn.label6 for vpn in before.vpns))
    numbered = []
    for vpn in plan.vpns:
        old = before.vpn.get(vpn.name)
        if old is not None and not _addresses_reassigned(plan.network, old, vpn):
            numbered.append(replace(vpn, id=old.id, label=old.label, label6=old.label6))
        else:
            label, label6 = next(unused_labels), next(unused_labels6)
            numbered.append(replace(vpn, id=next(unused_ids), label=label, label6=label6))
    return tuple(numbered)


def _addresses_reassigned(network: Network, old: Vpn, new: Vpn) -> bool:
    """Whether an address belongs to one site in the old VPN and to another site in the new one."""
    sites = [network.site[name] for name in {*old.sites, *new.sites}]
    return _overlap(site.prefix4 for site in sites) or _overlap(site.prefix6 for site in sites)


def _overlap(prefixes: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether two prefixes of one address family share an address."""
    ranges = sorted((int(prefix.network_address), int(prefix.broadcast_address)) for prefix in prefixes)
    return any(start <= end for (_, end), (start, _) in pairwise(ranges))


def _roles(plan: Plan, before: Plan) -> dict[int, int]:
    """By number in ``plan``, the new number of each role: that of the old role with most sites in common, unless
    another role has more in common with it; else an unused one."""
    role_of = before.role_of_site
    taken: dict[int, int] = {}

    def overlaps(role: Role) -> list[tuple[int, int, int]]:
        """(sites in common, -old number, new number) of each old role of the same VPN."""
        shared = Counter(role_of[site].id for site in role.sites if role_of[site].vpn == role.vpn)
        return [(sites, -old, role.id) for old, sites in shared.items()]

    for _, old, new in sorted((each for role in plan.roles for each in overlaps(role)), reverse=True):
        if new not in taken and -old not in taken.values():
            taken[new] = -old
    unused = _unused({role.id for role in before.roles}, 1)
    return {role.id: taken[role.id] if role.id in taken else next(unused) for role in plan.roles}


def _unused(used: Collection[int], first: int) -> Iterator[int]:
    """Numbers from ``first`` on that are not in use."""
    kept = frozenset(used)
    return (number for number in count(first) if number not in kept)
