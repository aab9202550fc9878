"""Checks of a network's addresses: sites' prefixes are disjoint and usable, and zones and blocks contain their sites.

A plan that violates any of this would have wrong rules: zones and blocks are matched and routed as a whole, and the
owner of an address must be one site.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from helsewan.topology import management
from helsewan.topology.model import LOOPBACKS4, LOOPBACKS6, Network, Prefix, Site

_RESERVED: tuple[tuple[Prefix, str], ...] = (
    (management.PREFIX4, "the management network"),
    (LOOPBACKS4, "the routers' own addresses"),
    (LOOPBACKS6, "the routers' own addresses"),
    (IPv4Network("0.0.0.0/8"), "this network (RFC 1122)"),
    (IPv4Network("127.0.0.0/8"), "loopback addresses (RFC 1122)"),
    (IPv4Network("169.254.0.0/16"), "link-local addresses (RFC 3927)"),
    (IPv4Network("224.0.0.0/3"), "multicast and reserved addresses (RFC 1112)"),
    (IPv6Network("::/8"), "loopback and mapped addresses (RFC 4291)"),
    (IPv6Network("fe80::/10"), "link-local addresses (RFC 4291)"),
    (IPv6Network("ff00::/8"), "multicast addresses (RFC 4291)"),
)


@dataclass(frozen=True, slots=True)
class AddressProblem:
    """A prefix that cannot be: ``owner`` is the site, zone or block that has it, by its kind and name."""

    kind: str
    owner: str
    prefix: Prefix
    reason: str
    hint: str


def address_problems(network: Network) -> Iterator[AddressProblem]:
    """All problems of the prefixes of sites, zones and blocks."""
    for version in (0, 1):
        sites = sorted(network.sites, key=lambda site: _place(site.prefixes[version]))
        yield from _of_sites(sites, version)
        zones, blocks = ((network.zones4, network.blocks4), (network.zones6, network.blocks6))[version]
        yield from _of_groups("zone", zones.items(), {site.id: site.zone for site in sites}, sites, version)
        homed = {site.id: (site.zone, site.homing) for site in sites}
        yield from _of_groups("block", blocks.items(), homed, sites, version)


def _of_sites(sites: Iterable[Site], version: int) -> Iterator[AddressProblem]:
    """Problems of sites' prefixes, given in their order."""
    last: Site | None = None  # of the sites so far, the one whose prefix ends last
    for site in sites:
        prefix = site.prefixes[version]
        if reserved := next((what for other, what in _RESERVED if _overlap(prefix, other)), None):
            hint = "a site has unicast addresses of its own, such as 10.20.30.0/24"
            yield AddressProblem("site", site.id, prefix, f"contains or is within {reserved}", hint)
        if last is not None and _overlap(prefix, last.prefixes[version]):
            reason = f"overlaps {last.prefixes[version]} of site {last.id}"
            yield AddressProblem("site", site.id, prefix, reason, "give every site addresses of its own")
        if last is None or prefix.broadcast_address > last.prefixes[version].broadcast_address:  # type: ignore[operator]
            last = site


def _of_groups(
    kind: str,
    prefixes: Iterable[tuple[Hashable, Prefix]],
    group_of: Mapping[str, Hashable],
    sites: list[Site],
    version: int,
) -> Iterator[AddressProblem]:
    """Problems of the prefixes of zones or blocks: sites that should be within and are not, or the reverse."""
    starts = [int(site.prefixes[version].network_address) for site in sites]
    known: Mapping[Hashable, Prefix] = dict(prefixes)
    for site in sites:
        group = group_of[site.id]
        if group in known and not _within(site.prefixes[version], known[group]):
            reason = f"does not contain {site.prefixes[version]} of its site {site.id}"
            yield AddressProblem(kind, _shown(group), known[group], reason, f"a {kind} contains all its sites")
    for group, prefix in known.items():
        first = bisect_left(starts, int(prefix.network_address))
        inside = sites[first : bisect_right(starts, int(prefix.broadcast_address))]
        if stranger := next((site for site in inside if group_of[site.id] != group), None):
            reason = f"contains {stranger.prefixes[version]} of site {stranger.id}, which is of another {kind}"
            yield AddressProblem(kind, _shown(group), prefix, reason, f"a {kind} contains its own sites only")


def _shown(group: Hashable) -> str:
    return group if isinstance(group, str) else " ".join(str(part) for part in _flat(group))


def _flat(group: object) -> Iterator[object]:
    for part in group if isinstance(group, tuple) else (group,):
        yield from _flat(part) if isinstance(part, tuple) else (part,)


def _place(prefix: Prefix) -> tuple[int, int]:
    return int(prefix.network_address), prefix.prefixlen


def _overlap(one: Prefix, other: Prefix) -> bool:
    return one.version == other.version and one.overlaps(other)


def _within(inner: Prefix, outer: Prefix) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
