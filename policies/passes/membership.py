"""Passes from selectors to sites: the members of VPNs, and the two site sets of each contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from helsewan.common.schema_errors import nearest
from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.schema import AccessLinkUse, ContractSpec, PolicySpec
from helsewan.policies.passes.selection import Population, SiteIds
from helsewan.policies.passes.selectors import granting
from helsewan.policies.passes.vpn_topologies import QuarantineGroup, Vrf
from helsewan.policies.plan import Vpn

FIRST_VPN_LABEL, FIRST_VPN_LABEL6 = 1000, 3000  # the VPN with id n has labels 1000 + n and 3000 + n
MAX_VPNS = 1000  # keeps the label ranges disjoint from each other and from the transport labels, from 10000 on
_SHOWN = 3  # sites named in one message


@dataclass(frozen=True)
class Clause:
    """A contract or exception (see ``section``) applied to the network: ``clients`` may open ``services`` to
    ``servers``."""

    name: str
    clients: SiteIds
    servers: SiteIds
    services: tuple[str, ...]
    section: str = "contracts"

    @property
    def path(self) -> Path:
        """Its path in the policy."""
        return self.section, self.name


def compile_vpns(
    spec: PolicySpec, vrfs: Sequence[Vrf], population: Population, report: PolicyReport
) -> tuple[Vpn, ...]:
    """The VPNs with their members. Reports sites not in exactly one VPN, and imports that no VPN exports."""
    if len(vrfs) > MAX_VPNS:
        reason = "VPNs need more labels than there are: two each, and a VRF number"
        report.add(("vpns",), len(vrfs), reason, f"labels are kept for {MAX_VPNS}")
    _check_imports(spec, vrfs, report)
    _check_membership(vrfs, population, report)
    order = {site.id: i for i, site in enumerate(population.network.sites)}
    return tuple(
        Vpn(
            name=vrf.name,
            id=number,
            label=FIRST_VPN_LABEL + number,
            label6=FIRST_VPN_LABEL6 + number,
            imports=frozenset(vrf.imports),
            exports=frozenset(vrf.exports),
            sites=tuple(sorted(vrf.sites, key=order.__getitem__)),
            both_access_links=spec.vpns[vrf.entry].lines is AccessLinkUse.BOTH,
        )
        for number, vrf in enumerate(vrfs, start=1)
    )


def _check_imports(spec: PolicySpec, vrfs: Iterable[Vrf], report: PolicyReport) -> None:
    if report.lacks("vpns"):  # an invalid VPN entry may export any of them
        return
    exported = frozenset(chain.from_iterable(vrf.exports for vrf in vrfs))
    for name, vpn in spec.vpns.items():
        for i, target in enumerate(vpn.imports):
            if target not in exported:
                at, hint = ("vpns", name, "import", i), nearest(target, exported)
                report.add(at, target, "is exported by no VPN", hint, [("vpns", target), ("vpns", target, "export")])


def _check_membership(vrfs: Iterable[Vrf], population: Population, report: PolicyReport) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for vrf in vrfs:
        for site in vrf.sites:
            owners[site].append(vrf.entry)
    clashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for site, (first, *others) in owners.items():
        for other in others:
            clashes[first, other].append(site)
    for (first, other), shared in clashes.items():
        reason, hint = (
            f"has members of VPN {first}: {some(shared)}",
            "a site is in one VPN; import routes to reach another",
        )
        report.add(("vpns", other, "members"), None, reason, hint, [("vpns", first, "members")])
    homeless = [site.id for site in population.network.sites if site.id not in owners]
    if homeless and not report.lacks("vpns"):
        entries = [path for path in report.document.lines if path[:1] == ("vpns",)]
        report.add(("vpns",), None, f"no VPN has as member: {some(homeless)}", "give every site a VPN", entries)


def some(names: Collection[str]) -> str:
    """The first few names in order, and the number of the others."""
    shown = sorted(names)[:_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def compile_clauses(
    spec: PolicySpec, population: Population, report: PolicyReport, quarantines: Sequence[QuarantineGroup] = ()
) -> tuple[Clause, ...]:
    """The contracts and exceptions as clauses, one for each direction and, with ``same_region``, each region.

    Clauses without clients or servers are left out, as are pairs that quarantines forbid.
    """
    for path, contract in granting(spec):
        for i, service in enumerate(contract.services):
            if service not in spec.services and not report.lacks("services", service):
                hint, removed = nearest(service, spec.services), [("services", service)]
                report.add((*path, "services", i), service, "is no service of this policy", hint, removed)
    clauses = (
        Clause(name, *sides, tuple(service for service in contract.services if service in spec.services), section)
        for (section, name), contract in granting(spec)
        for directed in _directions(contract, population)
        for sides in _outside_quarantines(directed, quarantines)
    )
    return tuple(clause for clause in clauses if clause.clients and clause.servers)


def _directions(contract: ContractSpec, population: Population) -> Iterator[tuple[SiteIds, SiteIds]]:
    here, there = population.select(contract.client), population.select(contract.server)
    everywhere = frozenset(population.network.site)
    for area in population.by_region.values() if contract.same_region else (everywhere,):
        yield here & area, there & area
        if contract.both_ways:
            yield there & area, here & area


def _outside_quarantines(
    sides: tuple[SiteIds, SiteIds], quarantines: Iterable[QuarantineGroup]
) -> Iterator[tuple[SiteIds, SiteIds]]:
    """(clients, servers) outside all quarantines, and inside each quarantine that permits it."""
    clients, servers = sides
    for group in quarantines:
        if group.within:
            yield clients & group.sites, servers & group.sites
        clients, servers = clients - group.sites, servers - group.sites
    yield clients, servers
