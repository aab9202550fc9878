"""Passes from site sets to roles: sites that the policy treats alike form a role; contracts are between roles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.passes.membership import Clause
from helsewan.policies.passes.prefixes import Aggregates
from helsewan.policies.passes.vpn_topologies import Vrf
from helsewan.policies.plan import Contract, Role, Vpn
from helsewan.topology.model import Site


def compile_roles(vpns: Sequence[Vpn], clauses: Sequence[Clause], aggregates: Aggregates) -> tuple[Role, ...]:
    """The coarsest partition of sites into roles such that VPNs and clauses contain whole roles; numbered from 1."""
    network = aggregates.network
    signatures: dict[str, list[int]] = {site.id: [] for site in network.sites}
    for number, clause in enumerate(clauses):
        for site in clause.clients:
            signatures[site].append(2 * number)
        for site in clause.servers:
            signatures[site].append(2 * number + 1)
    roles: dict[tuple[str, tuple[int, ...]], list[Site]] = defaultdict(list)
    for vpn in vpns:
        for site in vpn.sites:
            roles[vpn.name, tuple(signatures[site])].append(network.site[site])
    names = _names([(vpn, sites) for (vpn, _), sites in roles.items()])
    return tuple(
        Role(number, name, vpn, tuple(site.id for site in sites), aggregates.cover(sites))
        for number, (name, ((vpn, _), sites)) in enumerate(zip(names, roles.items(), strict=True), start=1)
    )


def _names(roles: Sequence[tuple[str, Sequence[Site]]]) -> list[str]:
    """Unique role names: VPN and site or kinds; if ambiguous, with regions, then with a number."""
    names = [f"{vpn}/{_what(sites)}" for vpn, sites in roles]
    names = _distinguish(names, ["-".join(sorted({site.region.value for site in sites})) for _, sites in roles])
    return _distinguish(names, [str(number) for number in range(1, len(roles) + 1)])


def _what(sites: Sequence[Site]) -> str:
    return sites[0].id if len(sites) == 1 else "+".join(sorted({site.kind.value for site in sites}))


def _distinguish(names: Sequence[str], suffixes: Iterable[str]) -> list[str]:
    """Append its suffix to every name that is not unique."""
    times = Counter(names)
    return [name if times[name] == 1 else f"{name}-{suffix}" for name, suffix in zip(names, suffixes, strict=True)]


def compile_contracts(clauses: Sequence[Clause], roles: Sequence[Role], report: PolicyReport) -> tuple[Contract, ...]:
    """One contract for each (client role, server role, service); of overlapping entries, the first is kept."""
    role_of = {site: role.id for role in roles for site in role.sites}
    granted: dict[tuple[int, int, str], Contract] = {}
    for clause in clauses:
        source = report.source(clause.path)
        clients = sorted({role_of[site] for site in clause.clients})
        servers = sorted({role_of[site] for site in clause.servers})
        for key in (
            (client, server, service) for client in clients for server in servers for service in clause.services
        ):
            granted.setdefault(key, Contract(clause.name, *key, source, id=len(granted)))
    return tuple(granted.values())


def check_imports(clauses: Sequence[Clause], vpns: Sequence[Vpn], vrfs: Sequence[Vrf], report: PolicyReport) -> None:
    """Check that both VPNs of a clause import each other: packets and replies each need a route."""
    vpn_of = {site: vpn for vpn in reversed(vpns) for site in vpn.sites}  # of several, the first
    entry = {vrf.name: vrf.entry for vrf in vrfs}
    exporters = Counter(target for vpn in vpns for target in vpn.exports)
    for clause in clauses:
        ours = {vpn_of[site].name: vpn_of[site] for site in sorted(clause.clients) if site in vpn_of}
        theirs = {vpn_of[site].name: vpn_of[site] for site in sorted(clause.servers) if site in vpn_of}
        for mine, other in ((mine, other) for mine in ours.values() for other in theirs.values()):
            for importer, exporter in ((mine, other), (other, mine)):
                if exporter.exports and not importer.imports & exporter.exports:
                    reason = f"VPN {importer.name} does not import {exporter.name}"
                    narrowest = min(exporter.exports, key=lambda target: (exporters[target], target))
                    hint = (
                        f"select fewer sites, or if they are to meet, add {narrowest} to the imports of {importer.name}"
                    )
                    if f"{importer.name}:hub" in importer.imports and importer is exporter:
                        reason = f"VPN {importer.name} is hub-and-spoke, and its spokes have no routes to each other"
                        hint = "open it to the hub, or from the hub"
                    because: list[Path] = [("vpns", entry[each.name]) for each in (importer, exporter)]
                    report.add(clause.path, None, reason, hint, because)
