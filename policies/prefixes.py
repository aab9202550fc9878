"""Sites to prefixes: the widest aggregates of the network's address plan that hold these sites only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from typing import TypeVar

from topology.model import Network, Site

Key = TypeVar("Key")
Homing = tuple[str, ...]


def _zone(site: Site) -> str:
    return site.zone


def _block(site: Site) -> tuple[str, Homing]:
    return site.zone, site.homing


@dataclass(frozen=True)
class Aggregates:
    """The zones and blocks of a network and how many sites each holds."""

    network: Network

    @cached_property
    def _zone_sizes(self) -> Counter[str]:
        return Counter(map(_zone, self.network.sites))

    @cached_property
    def _block_sizes(self) -> Counter[tuple[str, Homing]]:
        return Counter(map(_block, self.network.sites))

    def cover(self, sites: Iterable[Site]) -> tuple[IPv4Network, ...]:
        """Prefixes that hold ``sites`` and no other site: whole zones, else whole blocks, else single sites."""
        zones, rest = _whole(sites, _zone, self._zone_sizes, self.network.zones4)
        blocks, rest = _whole(rest, _block, self._block_sizes, self.network.blocks4)
        return tuple(sorted([*zones.values(), *blocks.values(), *(site.prefix4 for site in rest)]))

    def cover_by_homing(self, sites: Iterable[Site]) -> dict[IPv4Network, Homing]:
        """Prefixes that hold ``sites`` and no other site, each with the homing all its sites share."""
        blocks, rest = _whole(sites, _block, self._block_sizes, self.network.blocks4)
        homings = {prefix: homing for (_, homing), prefix in blocks.items()}
        return homings | {site.prefix4: site.homing for site in rest}


def _whole(
    sites: Iterable[Site], key: Callable[[Site], Key], sizes: Mapping[Key, int], prefixes: Mapping[Key, IPv4Network]
) -> tuple[dict[Key, IPv4Network], list[Site]]:
    """The prefixes of groups that are complete in ``sites``, and the sites of all other groups."""
    groups: dict[Key, list[Site]] = defaultdict(list)
    for site in sites:
        groups[key(site)].append(site)
    whole = {name: prefixes[name] for name, group in groups.items() if name in prefixes and len(group) == sizes[name]}
    return whole, [site for name, group in groups.items() if name not in whole for site in group]
