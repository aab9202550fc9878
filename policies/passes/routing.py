"""Passes from VPNs to routes: prefixes, egress routers, and checks for overlapping prefixes in a VPN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.passes.prefixes import Aggregates, Homing
from helsewan.policies.plan import SHORTEST, Egress, PathChoice, Route, TrafficClass, Vpn
from helsewan.topology.model import Network

MAX_EGRESSES = 9_000  # a switch's group numbers of egress sets are below the transport labels


def compile_egresses(
    network: Network, vpns: Iterable[Vpn], classes: Iterable[TrafficClass], report: PolicyReport
) -> tuple[Egress, ...]:
    """The egress sets: one for each combination of homing, use of one or both access links, and path algorithm.

    Each single router of a homing is included, for when the site's other access link is down. Least delay comes first,
    then the order of router indices. Too many sets are reported.
    """
    members = [(vpn, network.site[name]) for vpn in vpns for name in vpn.sites]
    homings = {(site.homing, vpn.uses_both(site.homing)) for vpn, site in members}
    homings |= {((router,), False) for _, site in members for router in site.homing}
    by_number = sorted(homings, key=lambda homing: ([network.router[router].index for router in homing[0]], homing[1]))
    chosen = dict.fromkeys((SHORTEST, *(cls.path for cls in classes)))
    wanted = [(*h, path) for choice in PathChoice for path in chosen if path.choice is choice for h in by_number]
    if len(wanted) > MAX_EGRESSES:
        reason = f"need {len(wanted)} trees of paths, {len(chosen)} to each of {len(homings)} sets of routers"
        hint = f"labels are kept for {MAX_EGRESSES}; let more classes use the same paths"
        report.add(("classes",), None, reason, hint)
    return tuple(Egress(index, homing, path, both) for index, (homing, both, path) in enumerate(wanted))


def compile_routes(vpns: Sequence[Vpn], egresses: Iterable[Egress], aggregates: Aggregates) -> tuple[Route, ...]:
    """Each VPN's own prefixes, as wide as the address plan allows, with their egress set of least-delay paths."""
    egress_of: Mapping[tuple[Homing, bool], int] = {
        (egress.routers, egress.both): egress.index for egress in egresses if egress.path == SHORTEST
    }
    sites = aggregates.network.site
    return tuple(
        Route(vpn.name, prefix, egress_of[homing, vpn.uses_both(homing)])
        for vpn in vpns
        for prefix, homing in aggregates.cover_by_homing(sites[site] for site in vpn.sites)
    )


def check_overlaps(vpns: Sequence[Vpn], routes: Iterable[Route], report: PolicyReport) -> None:
    """Report overlapping routes, own or imported, in one VPN; unrelated VPNs may use the same addresses."""
    own: dict[str, list[tuple[int, int, int, Route]]] = {vpn.name: [] for vpn in vpns}
    for route in routes:
        place = int(route.prefix.network_address), route.prefix.prefixlen
        own[route.vpn].append((route.prefix.version, *place, route))
    for vpn in vpns:
        seen = [other.name for other in vpns if other is vpn or other.exports & vpn.imports]
        met = sorted((entry for name in seen for entry in own[name]), key=lambda entry: entry[:3])
        for (*_, one), (*_, two) in pairwise(met):
            if one.prefix.version == two.prefix.version and one.prefix.overlaps(two.prefix):
                reason = f"sees {one.prefix} of VPN {one.vpn} and {two.prefix} of VPN {two.vpn}, which overlap"
                report.add(("vpns", vpn.name), None, reason, "import only one of them, or renumber the sites")
