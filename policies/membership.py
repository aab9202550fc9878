"""Passes from selectors to sites: every site in one VPN, every contract between two sets of sites."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from policies.plan import Vpn
from policies.report import Path, Report
from policies.schema import ContractSpec, Lines, PolicySpec, Selector
from policies.selection import Population, SiteIds
from topology.schema_errors import nearest

FIRST_VPN_LABEL, FIRST_VPN_LABEL6 = 1000, 3000  # the VPN with id n has labels 1000 + n and 3000 + n
MAX_VPNS = 1000  # their labels stay clear of each other and of the transport labels, which begin at 10000
_SHOWN = 3  # sites named in one message


@dataclass(frozen=True)
class Clause:
    """A contract applied to the network: ``clients`` may open ``services`` to ``servers``."""

    name: str
    clients: SiteIds
    servers: SiteIds
    services: tuple[str, ...]


def check_site_names(spec: PolicySpec, population: Population, report: Report) -> None:
    """Every site that a selector names must exist; other keys may match nothing in a small network."""
    for path, selector in _selectors(spec):
        for i, site in enumerate(selector.site):
            if site not in population.network.site:
                close = difflib.get_close_matches(site, population.network.site, n=1)
                hint = f"did you mean {close[0]!r}?" if close else "see the network's list of sites"
                report.add((*path, "site", i), site, "is no site of this network", hint)


def _selectors(spec: PolicySpec) -> Iterator[tuple[Path, Selector]]:
    for name, vpn in spec.vpns.items():
        yield ("vpns", name, "members"), vpn.members
    for name, contract in spec.contracts.items():
        yield ("contracts", name, "from"), contract.client
        yield ("contracts", name, "to"), contract.server


def compile_vpns(spec: PolicySpec, population: Population, report: Report) -> tuple[Vpn, ...]:
    """The VPNs with their members. Each site must be in exactly one, each import exported by some."""
    if len(spec.vpns) > MAX_VPNS:
        reason = "VPNs need more labels than there are: two each, and a VRF number"
        report.add(("vpns",), len(spec.vpns), reason, f"labels are kept for {MAX_VPNS}")
    _check_imports(spec, report)
    members = {name: population.select(vpn.members) for name, vpn in spec.vpns.items()}
    _check_membership(members, population, report)
    order = {site.id: i for i, site in enumerate(population.network.sites)}
    return tuple(
        Vpn(
            name=name,
            id=number,
            label=FIRST_VPN_LABEL + number,
            label6=FIRST_VPN_LABEL6 + number,
            imports=frozenset(vpn.imports),
            exports=frozenset(vpn.exports),
            sites=tuple(sorted(members[name], key=order.__getitem__)),
            both_lines=vpn.lines is Lines.BOTH,
        )
        for number, (name, vpn) in enumerate(spec.vpns.items(), start=1)
    )


def _check_imports(spec: PolicySpec, report: Report) -> None:
    exported = frozenset(chain.from_iterable(vpn.exports for vpn in spec.vpns.values()))
    for name, vpn in spec.vpns.items():
        for i, target in enumerate(vpn.imports):
            if target not in exported:
                report.add(("vpns", name, "import", i), target, "is exported by no VPN", nearest(target, exported))


def _check_membership(members: dict[str, SiteIds], population: Population, report: Report) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for name, sites in members.items():
        for site in sites:
            owners[site].append(name)
    clashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for site, (first, *others) in owners.items():
        for other in others:
            clashes[first, other].append(site)
    for (first, other), shared in clashes.items():
        reason = f"has members of VPN {first}: {_some(shared)}"
        report.add(("vpns", other, "members"), None, reason, "a site is in one VPN; import routes to reach another")
    if homeless := [site.id for site in population.network.sites if site.id not in owners]:
        report.add(("vpns",), None, f"no VPN has as member: {_some(homeless)}", "give every site a VPN")


def _some(sites: list[str]) -> str:
    """The first few site ids, and how many more there are."""
    shown = sorted(sites)[:_SHOWN]
    more = len(sites) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def compile_clauses(spec: PolicySpec, population: Population, report: Report) -> tuple[Clause, ...]:
    """The contracts as pairs of site sets, one for each direction and, where asked, each region.

    Clauses that nobody in this network could use are left out.
    """
    for name, contract in spec.contracts.items():
        for i, service in enumerate(contract.services):
            if service not in spec.services:
                hint = nearest(service, spec.services)
                report.add(("contracts", name, "services", i), service, "is no service of this policy", hint)
    clauses = (
        Clause(name, clients, servers, tuple(service for service in contract.services if service in spec.services))
        for name, contract in spec.contracts.items()
        for clients, servers in _directions(contract, population)
    )
    return tuple(clause for clause in clauses if clause.clients and clause.servers)


def _directions(contract: ContractSpec, population: Population) -> Iterator[tuple[SiteIds, SiteIds]]:
    here, there = population.select(contract.client), population.select(contract.server)
    everywhere = frozenset(population.network.site)
    for area in population.by_region.values() if contract.same_region else (everywhere,):
        yield here & area, there & area
        if contract.both_ways:
            yield there & area, here & area
