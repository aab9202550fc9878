"""The pass from VPNs to VRFs: topologies as route targets (RFC 4364, 4.3), and quarantines.

A VPN is one VRF, except that the hub of a hub-and-spoke VPN has its own VRF, with other routes than the spokes, and
sites in quarantine have VRFs with route targets of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from helsewan.common.schema_errors import nearest
from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.schema import PolicySpec, Topology, VpnSpec
from helsewan.policies.passes.selection import Population, SiteIds

Targets = tuple[str, ...]


@dataclass(frozen=True)
class Vrf:
    """Sites with the same routes. ``entry`` is the name of its VPN in the policy."""

    name: str
    entry: str
    sites: SiteIds
    imports: Targets
    exports: Targets


@dataclass(frozen=True)
class QuarantineGroup:
    """Sites in quarantine; ``within``: contracts among these sites remain effective."""

    name: str
    sites: SiteIds
    within: bool


def compile_quarantine_groups(
    spec: PolicySpec, population: Population, report: PolicyReport
) -> tuple[QuarantineGroup, ...]:
    """The quarantines. Sites in more than one are reported."""
    quarantines = list[QuarantineGroup]()
    for name, entry in spec.quarantine.items():
        sites = population.select(entry.sites)
        for group in quarantines:
            if shared := sites & group.sites:
                reason = f"has sites of quarantine {group.name}: {', '.join(sorted(shared)[:3])}"
                report.add(
                    ("quarantine", name), None, reason, "a site is in one quarantine", [("quarantine", group.name)]
                )
        quarantines.append(QuarantineGroup(name, sites, entry.within))
    return tuple(quarantines)


def compile_vrfs(
    spec: PolicySpec, population: Population, quarantines: Iterable[QuarantineGroup], report: PolicyReport
) -> tuple[Vrf, ...]:
    """The VRFs of all VPNs, in policy order. Duplicate VRF names are reported."""
    partners = _partners(spec, report)
    vrfs = [vrf for name, vpn in spec.vpns.items() for vrf in _vrfs(name, vpn, partners[name], population, report)]
    for group in quarantines:
        vrfs = [each for vrf in vrfs for each in _split_by_quarantine(vrf, group)]
    _check_apart(spec, vrfs, report)
    names = set[str]()
    for vrf in vrfs:
        if vrf.name in names:
            reason = f"would have the name {vrf.name}, which another VPN has"
            report.add(("vpns", vrf.entry), None, reason, "give that one another name")
        names.add(vrf.name)
    return tuple(vrfs)


def _check_apart(spec: PolicySpec, vrfs: Iterable[Vrf], report: PolicyReport) -> None:
    """Report route targets by which sites would get routes to each other that a topology separates: the spokes of a
    hub-and-spoke, the members of an extranet, and its partners."""
    kept = {Topology.HUB_AND_SPOKE: "the spokes of a hub-and-spoke", Topology.EXTRANET: "the members of an extranet"}
    for vrf in vrfs:
        vpn = spec.vpns[vrf.entry]
        serves = [f"{name}:partners" for name in spec.vpns if f"{name}:partners" in vrf.exports]
        for target in sorted(set(vrf.imports) & set(vrf.exports)):
            if vpn.topology in kept and vrf.name != f"{vrf.entry}-hub":
                joined, hint = kept[vpn.topology], f"remove {target} from the imports, or from the exports"
            elif target in serves:
                joined, hint = (
                    f"the partners of {target.removesuffix(':partners')}",
                    f"remove {target} from the imports",
                )
            else:
                continue
            place = ("import", vpn.imports.index(target)) if target in vpn.imports else ("export",)
            because: list[Path] = [("vpns", vrf.entry, "export"), ("vpns", vrf.entry, "topology")]
            report.add(("vpns", vrf.entry, *place), target, f"joins {joined}", hint, because)


def _partners(spec: PolicySpec, report: PolicyReport) -> Mapping[str, Targets]:
    """For each VPN, the extranets that name it as a partner."""
    found: dict[str, list[str]] = {name: [] for name in spec.vpns}
    for name, vpn in spec.vpns.items():
        for i, partner in enumerate(vpn.partners):
            if partner in found:
                found[partner].append(name)
            elif not report.lacks("vpns", partner):
                at: Path = ("vpns", name, "partners", i)
                report.add(at, partner, "is no VPN of this policy", nearest(partner, found), [("vpns", partner)])
    return {name: tuple(extranets) for name, extranets in found.items()}


def _vrfs(name: str, vpn: VpnSpec, extranets: Targets, population: Population, report: PolicyReport) -> Iterator[Vrf]:
    """The VRFs of one VPN: two for hub-and-spoke, otherwise one."""
    _check_keys(name, vpn, report)
    sites = population.select(vpn.members)
    imports = (*vpn.imports, *extranets)
    exports = (*vpn.exports, *(f"{extranet}:partners" for extranet in extranets))
    if vpn.topology is Topology.HUB_AND_SPOKE and vpn.hub is not None:
        hub = sites & population.select(vpn.hub)
        if sites and not hub:
            hint, members = "the hub is some of the members", [("vpns", name, "members")]
            report.add(("vpns", name, "hub"), None, "has no member of the VPN: its spokes reach no site", hint, members)
        to_hub, to_spokes = f"{name}:hub", f"{name}:spokes"
        yield Vrf(name, name, sites - hub, (to_hub, *imports), (to_spokes, *exports))
        yield Vrf(f"{name}-hub", name, hub, (to_hub, to_spokes, *imports), (to_hub, *exports))
    elif vpn.topology is Topology.MESH:
        yield Vrf(name, name, sites, (name, *imports), (name, *exports))
    elif vpn.topology is Topology.EXTRANET:
        yield Vrf(name, name, sites, (f"{name}:partners", *imports), (name, *exports))
    else:
        yield Vrf(name, name, sites, imports, exports)


def _check_keys(name: str, vpn: VpnSpec, report: PolicyReport) -> None:
    """Check that the keys of the VPN's topology are present and those of other topologies are not."""
    at: Path = ("vpns", name)
    if vpn.topology is None and not vpn.exports:
        reason = "exports no route target, and has no topology that would give it one"
        report.add(at, None, reason, f"add export: [{name}], or topology: mesh")
    for key, given, topology, means in (
        ("hub", vpn.hub is not None, Topology.HUB_AND_SPOKE, "which of its members are the hub"),
        ("partners", bool(vpn.partners), Topology.EXTRANET, "the VPNs that it is for"),
    ):
        if given and vpn.topology is not topology:
            report.add((*at, key), None, f"is only for topology: {topology.value}", "add that, or remove this")
        elif not given and vpn.topology is topology:
            report.add((*at, "topology"), topology.value, f"needs {key}", f"add {key}: {means}")


def _split_by_quarantine(vrf: Vrf, group: QuarantineGroup) -> Iterator[Vrf]:
    """The VRF without the sites of a quarantine, and a VRF of these sites, with the same topology if ``within``."""
    inside = vrf.sites & group.sites
    if not inside:
        yield vrf
        return
    yield replace(vrf, sites=vrf.sites - inside)
    imports, exports = ((*(f"{group.name}!{target}" for target in each),) for each in (vrf.imports, vrf.exports))
    yield Vrf(f"{vrf.name}.{group.name}", vrf.entry, inside, imports if group.within else (), exports)
