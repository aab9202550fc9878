"""What stands failed in a network: which lines are dark because of it, and which come back when a part does."""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.topology.model import AccessLinkId, Network


@dataclass(frozen=True, slots=True)
class Target:
    """Router ids, link ids and access lines that fail, or come back, together, or the ``controller`` that leads. A
    failed router takes its lines along."""

    name: str
    routers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    accesses: tuple[AccessLinkId, ...] = ()
    controller: bool = False


@dataclass(frozen=True, slots=True)
class DarkLinks:
    """Lines that go dark or light up together: fibre link ids, and access lines."""

    links: tuple[str, ...]
    accesses: tuple[AccessLinkId, ...]


class FailureState:
    """Failures add up: a line is dark while it or a router at its end stands failed, whatever else came back."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.routers: frozenset[str] = frozenset()
        self._links: frozenset[str] = frozenset()
        self._accesses: frozenset[AccessLinkId] = frozenset()

    def strike(self, target: Target) -> DarkLinks:
        """``target`` fails: the lines that go dark."""
        before = self._dark()
        self.routers |= set(target.routers)
        self._links |= set(target.links)
        self._accesses |= set(target.accesses)
        return _without(self._dark(), before)

    def mend(self, target: Target) -> DarkLinks:
        """``target`` is restored: the lines that light up."""
        before = self._dark()
        self.routers -= set(target.routers)
        self._links -= set(target.links)
        self._accesses -= set(target.accesses)
        return _without(before, self._dark())

    def _dark(self) -> DarkLinks:
        network, failed = self._network, self.routers
        return DarkLinks(
            tuple(link.id for link in network.links if link.id in self._links or {link.a, link.b} & failed),
            tuple(
                (site.id, line)
                for site in network.sites
                for line, access in enumerate(site.accesses)
                if access.router in failed or (site.id, line) in self._accesses
            ),
        )


def _without(lines: DarkLinks, others: DarkLinks) -> DarkLinks:
    return DarkLinks(
        tuple(link for link in lines.links if link not in set(others.links)),
        tuple(access for access in lines.accesses if access not in set(others.accesses)),
    )
