"""Which routers and links are failed, and which links go down or come up when a target fails or is restored. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.topology.model import AccessLinkId, Network


@dataclass(frozen=True, slots=True)
class Target:
    """Routers (ids), links (ids) and access links that fail, or are restored, together; ``controller``: the leading
    controller instead. When a router fails, its links go down too. ``sites``: sites (ids) to which something is
    done that leaves their links as they are."""

    name: str
    routers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    accesses: tuple[AccessLinkId, ...] = ()
    controller: bool = False
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkSet:
    """Links by id and access links that lose or regain carrier together."""

    links: tuple[str, ...]
    accesses: tuple[AccessLinkId, ...]


class FailureState:
    """The current failures. They overlap: a link is down while it, or a router at one of its ends, is failed."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.routers: frozenset[str] = frozenset()
        self._links: frozenset[str] = frozenset()
        self._accesses: frozenset[AccessLinkId] = frozenset()

    def fail(self, target: Target) -> LinkSet:
        """Mark ``target`` as failed; returns the links that go down."""
        before = self._down()
        self.routers |= set(target.routers)
        self._links |= set(target.links)
        self._accesses |= set(target.accesses)
        return _without(self._down(), before)

    def restore(self, target: Target) -> LinkSet:
        """Mark ``target`` as restored; returns the links that come up."""
        before = self._down()
        self.routers -= set(target.routers)
        self._links -= set(target.links)
        self._accesses -= set(target.accesses)
        return _without(before, self._down())

    @property
    def failed_links(self) -> frozenset[str]:
        """Links between routers (ids) that are down because of the current failures."""
        return frozenset(self._down().links)

    def _down(self) -> LinkSet:
        network, failed = self._network, self.routers
        return LinkSet(
            tuple(link.id for link in network.links if link.id in self._links or {link.a, link.b} & failed),
            tuple(
                (site.id, number)
                for site in network.sites
                for number, access in enumerate(site.accesses)
                if access.router in failed or (site.id, number) in self._accesses
            ),
        )


def _without(found: LinkSet, others: LinkSet) -> LinkSet:
    links, accesses = set(others.links), set(others.accesses)
    return LinkSet(
        tuple(link for link in found.links if link not in links),
        tuple(access for access in found.accesses if access not in accesses),
    )
