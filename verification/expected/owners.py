"""Which site an address belongs to: the one with the longest prefix that contains it. Sites differ in the lengths of
their prefixes."""

from __future__ import annotations

from collections.abc import Iterable

from helsewan.topology.model import Site

_BITS = {4: 32, 6: 128}


class PrefixOwners:
    """The sites of a network by their prefixes."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._by_prefix: dict[tuple[int, int, int], Site] = {
            (
                prefix.version,
                prefix.prefixlen,
                int(prefix.network_address) >> prefix.max_prefixlen - prefix.prefixlen,
            ): site
            for site in sites
            for prefix in site.prefixes
        }
        used = {(version, length) for version, length, _ in self._by_prefix}
        self._lengths = {
            version: sorted((length for of, length in used if of == version), reverse=True) for version in _BITS
        }

    def of(self, version: int, address: int) -> Site | None:
        """The site that owns an address of an IP version; None if none does."""
        for length in self._lengths[version]:
            if site := self._by_prefix.get((version, length, address >> _BITS[version] - length)):
                return site
        return None
