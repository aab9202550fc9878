"""Sites to prefixes: the widest aggregates of the address plan that contain only the given sites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from helsewan.topology.model import Network, Prefix, Site

Key = TypeVar("Key")
Homing = tuple[str, ...]
_Version = tuple[Callable[[Site], Prefix], Mapping[str, Prefix], Mapping[tuple[str, Homing], Prefix]]


def _zone(site: Site) -> str:
    return site.zone


def _block(site: Site) -> tuple[str, Homing]:
    return site.zone, site.homing


@dataclass(frozen=True)
class Aggregates:
    """The zones and blocks of a network, and the number of sites in each."""

    network: Network

    @cached_property
    def _zone_sizes(self) -> Counter[str]:
        return Counter(map(_zone, self.network.sites))

    @cached_property
    def _block_sizes(self) -> Counter[tuple[str, Homing]]:
        return Counter(map(_block, self.network.sites))

    def cover(self, sites: Iterable[Site]) -> tuple[Prefix, ...]:
        """Prefixes that contain ``sites`` and no other site, of IPv4 and then of IPv6: whole zones, else whole blocks,
        else single sites."""
        members, found = tuple(sites), list[Prefix]()
        for prefix_of, zones, blocks in self._versions:
            whole_zones, rest = _whole(members, _zone, self._zone_sizes, zones)
            whole_blocks, rest = _whole(rest, _block, self._block_sizes, blocks)
            found += sorted([*whole_zones.values(), *whole_blocks.values(), *map(prefix_of, rest)], key=_place)
        return tuple(found)

    def cover_by_homing(self, sites: Iterable[Site]) -> list[tuple[Prefix, Homing]]:
        """Prefixes that contain ``sites`` and no other site, each with the common homing of its sites."""
        members, found = tuple(sites), list[tuple[Prefix, Homing]]()
        for prefix_of, _, blocks in self._versions:
            whole, rest = _whole(members, _block, self._block_sizes, blocks)
            homed = [(prefix, homing) for (_, homing), prefix in whole.items()]
            homed += [(prefix_of(site), site.homing) for site in rest]
            found += sorted(homed, key=lambda each: _place(each[0]))
        return found

    @property
    def _versions(self) -> tuple[_Version, _Version]:
        """For IPv4 and IPv6: a site's prefix, and the aggregates of zones and blocks."""
        network = self.network
        return (
            (lambda site: site.prefix4, network.zones4, network.blocks4),
            (lambda site: site.prefix6, network.zones6, network.blocks6),
        )


def _place(prefix: Prefix) -> tuple[int, int]:
    """Sort key of a prefix among those of its IP version."""
    return int(prefix.network_address), prefix.prefixlen


def _whole(
    sites: Iterable[Site], key: Callable[[Site], Key], sizes: Mapping[Key, int], prefixes: Mapping[Key, Prefix]
) -> tuple[dict[Key, Prefix], list[Site]]:
    """The prefixes of groups that are complete in ``sites``, and the sites of all other groups."""
    groups: dict[Key, list[Site]] = defaultdict(list)
    for site in sites:
        groups[key(site)].append(site)
    whole = {name: prefixes[name] for name, group in groups.items() if name in prefixes and len(group) == sizes[name]}
    return whole, [site for name, group in groups.items() if name not in whole for site in group]
