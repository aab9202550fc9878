"""Passes from selectors to sites: the members of VPNs, and the two site sets of each contract."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from helsewan.common.schema_errors import nearest
from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.schema import AccessLinkUse, ContractSpec, PolicySpec, Selector
from helsewan.policies.passes.selection import Population, SiteIds
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


def check_site_names(spec: PolicySpec, population: Population, report: PolicyReport) -> None:
    """Report unknown site ids in selectors; other keys may match nothing in a small network."""
    for path, selector in _selectors(spec):
        for i, site in enumerate(selector.site):
            if site not in population.network.site:
                close = difflib.get_close_matches(site, population.network.site, n=1)
                hint = f"did you mean {close[0]!r}?" if close else "see the network's list of sites"
                report.add((*path, "site", i), site, "is no site of this network", hint)


def _selectors(spec: PolicySpec) -> Iterator[tuple[Path, Selector]]:
    for name, vpn in spec.vpns.items():
        yield ("vpns", name, "members"), vpn.members
        if vpn.hub is not None:
            yield ("vpns", name, "hub"), vpn.hub
    for path, contract in _granting(spec):
        yield (*path, "from"), contract.client
        yield (*path, "to"), contract.server
    if spec.internet is not None:
        yield ("internet", "at"), spec.internet.at
    for name, quarantine in spec.quarantine.items():
        yield ("quarantine", name, "sites"), quarantine.sites


def _granting(spec: PolicySpec) -> Iterator[tuple[tuple[str, str], ContractSpec]]:
    """The contracts, then the exceptions, each with its path."""
    yield from ((("contracts", name), contract) for name, contract in spec.contracts.items())
    yield from ((("exceptions", name), exception) for name, exception in spec.exceptions.items())


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
    for path, contract in _granting(spec):
        for i, service in enumerate(contract.services):
            if service not in spec.services and not report.lacks("services", service):
                hint, removed = nearest(service, spec.services), [("services", service)]
                report.add((*path, "services", i), service, "is no service of this policy", hint, removed)
    clauses = (
        Clause(name, *sides, tuple(service for service in contract.services if service in spec.services), section)
        for (section, name), contract in _granting(spec)
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
