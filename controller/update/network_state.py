"""The network's state as known to the controller: connected switches and the state of their ports."""

from __future__ import annotations

from dataclasses import dataclass, field

from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import Network
from helsewan.topology.place_names import meaning

_LINK, _POP = "link", "pop"


@dataclass
class LiveNetwork:
    """The network as its switches reported it so far. A switch that never connected counts as usable."""

    network: Network
    up_ports: dict[str, set[int]] = field(default_factory=dict)  # of the connected switches
    awaiting_bfd: set[tuple[str, int]] = field(default_factory=set)  # of these, BFD session not up yet
    ready: set[str] = field(default_factory=set)  # connected, and hold their target
    ever_ready: set[str] = field(default_factory=set)  # have been ready at some time
    withdrawn: frozenset[str] = frozenset()  # links and PoPs that a user took out of service

    def joined(self, router: str, up_ports: frozenset[int], awaiting_bfd: frozenset[int] = frozenset()) -> None:
        """A switch connected. ``awaiting_bfd``: its ports with carrier whose BFD session is not up yet. They count as
        up for a switch that is new, and as down for one that was ready before, whose links paths avoid already."""
        self.awaiting_bfd = {(other, port) for other, port in self.awaiting_bfd if other != router}
        if router in self.ever_ready:
            awaiting_bfd = frozenset()
        self.up_ports[router] = set(up_ports | awaiting_bfd)
        self.awaiting_bfd |= {(router, port) for port in awaiting_bfd}
        self.ready.discard(router)

    def programmed(self, router: str) -> None:
        """A switch holds its target: paths may use it."""
        self.ready.add(router)
        self.ever_ready.add(router)

    def left(self, router: str) -> None:
        """A switch's connection ended. It may go on forwarding by the rules that it holds."""
        self.up_ports.pop(router, None)
        self.awaiting_bfd = {(other, port) for other, port in self.awaiting_bfd if other != router}
        self.ready.discard(router)

    def port_changed(self, router: str, port: int, up: bool) -> bool:
        """A switch reported a port up or down; returns whether that changes the port's known state."""
        ports = self.up_ports.get(router)
        if ports is None or (not up and (router, port) in self.awaiting_bfd):  # down is its known initial state
            return False
        changed = up is not (port in ports) or (router, port) in self.awaiting_bfd
        (ports.add if up else ports.discard)(port)
        self.awaiting_bfd.discard((router, port))
        return changed

    def expire_awaited(self, router: str | None = None) -> None:
        """Ports that still await BFD, at one router or (None) at all, count as down from now on."""
        late = {(at, port) for at, port in self.awaiting_bfd if router in (None, at)}
        for at, port in late:
            self.up_ports[at].discard(port)
        self.awaiting_bfd -= late

    def link_is_up(self, link_id: str) -> bool:
        """Whether both ends are up; the end at a switch that is not connected counts as up."""
        link = self.network.link[link_id]
        return all(
            self.network.ports[end][link_id] in self.up_ports[end] for end in (link.a, link.b) if end in self.up_ports
        )

    def half_up(self, link_id: str) -> bool:
        """Whether one end reports that it is up, and the other that it is down."""
        link = self.network.link[link_id]
        ends = [end for end in (link.a, link.b) if end in self.up_ports]
        return len(ends) == 2 and len({self.network.ports[end][link_id] in self.up_ports[end] for end in ends}) == 2

    def failures(self) -> Failures:
        """What new paths and routes must not use: links and access links that are down, and switches that cannot be
        programmed; and the links out of service, which they should avoid."""
        links = frozenset(link.id for link in self.network.links if not self.link_is_up(link.id))
        access_links = frozenset(
            access_link
            for router, up in self.up_ports.items()
            for access_link, port in self.network.access_link_ports[router].items()
            if port not in up
        )
        return Failures(links, frozenset(self.ever_ready - self.ready), self.avoided(), access_links)

    def avoided(self) -> frozenset[str]:
        """The links that are out of service."""
        return frozenset[str]().union(*(links_of(self.network, place) for place in self.withdrawn))

    def headless(self) -> frozenset[str]:
        """Switches that lost the controller and presumably go on forwarding: a chain of up ports leads to them from a
        connected switch. Without any connected switch, all that were ready."""
        disconnected = self.ever_ready - self.up_ports.keys()
        if not self.up_ports:
            return frozenset(disconnected)
        found: set[str] = set()
        frontier = list(self.up_ports)
        while frontier:
            router = frontier.pop()
            for link_id, port in self.network.ports[router].items():
                neighbour = self.network.link[link_id].other(router)
                if neighbour in disconnected - found and port in self.up_ports.get(router, {port}):
                    found.add(neighbour)
                    frontier.append(neighbour)
        return frozenset(found)


def links_of(network: Network, place: str) -> frozenset[str]:
    """The links that are out of service with a place, as `place_of` has it: the link itself, or the links from other
    PoPs to a PoP; none where the name is unknown."""
    kind, _, name = place.rpartition(":")
    if name in network.link and kind in ("", _LINK):
        return frozenset({name})
    if name not in network.pop or kind not in ("", _POP):
        return frozenset()
    return _links_to(network, name)


def place_of(network: Network, text: str) -> str | None:
    """The one name of the link or PoP ``text``: its id, or KIND:ID where a link and a PoP have one id; None for an
    unknown name, and for a PoP without links to others. Raises AmbiguousName."""
    found = meaning(
        text,
        {
            _LINK: lambda id_: frozenset({id_}) if id_ in network.link else None,
            _POP: lambda id_: (_links_to(network, id_) or None) if id_ in network.pop else None,
        },
    )
    if found is None:
        return None
    id_ = text.rpartition(":")[2]
    return f"{found[0]}:{id_}" if id_ in network.link and id_ in network.pop else id_


def _links_to(network: Network, pop: str) -> frozenset[str]:
    routers = frozenset(network.pop[pop].routers)
    return frozenset(link.id for link in network.links if len({link.a, link.b} & routers) == 1)
