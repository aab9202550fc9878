"""Selectors applied to a network's sites."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from helsewan.policies.language.schema import Selector
from helsewan.topology.model import Kind, Network, Region

SiteIds = frozenset[str]
NOBODY: SiteIds = frozenset()


@dataclass(frozen=True)
class Population:
    """A network's sites, grouped by selector keys, so that a selector is evaluated once for each group."""

    network: Network

    @cached_property
    def groups(self) -> dict[tuple[Kind, Region, str, frozenset[str]], SiteIds]:
        """Site ids by (kind, region, tier, tags)."""
        groups = defaultdict(list)
        for site in self.network.sites:
            groups[site.kind, site.region, site.tier, site.tags].append(site.id)
        return {profile: frozenset(ids) for profile, ids in groups.items()}

    @cached_property
    def by_region(self) -> dict[Region, SiteIds]:
        """Site ids by region."""
        return {region: self.select(Selector(region=(region,))) for region in Region}

    @cached_property
    def tags(self) -> frozenset[str]:
        """The tags of all sites."""
        return frozenset().union(*(tags for *_, tags in self.groups))

    @cached_property
    def tiers(self) -> frozenset[str]:
        """The tiers of all sites, with the empty one of sites that have none."""
        return frozenset(tier for _, _, tier, _ in self.groups)

    def select(self, selector: Selector) -> SiteIds:
        """The ids of all sites that match ``selector``."""
        matching = (
            ids
            for (kind, region, tier, tags), ids in self.groups.items()
            if (not selector.kind or kind in selector.kind)
            and (not selector.region or region in selector.region)
            and (not selector.tier or tier in selector.tier)
            and (not selector.tags or not tags.isdisjoint(selector.tags))
        )
        chosen = NOBODY.union(*matching)
        return chosen & frozenset(selector.site) if selector.site else chosen
