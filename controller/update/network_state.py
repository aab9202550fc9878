"""The network's state as known to the controller: connected switches and the state of their ports."""

from __future__ import annotations

from dataclasses import dataclass, field

from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import Network


@dataclass
class LiveNetwork:
    """The network as reported so far. A switch that never connected counts as usable."""

    network: Network
    up_ports: dict[str, set[int]] = field(default_factory=dict)  # of the switches that are connected
    coming: set[tuple[str, int]] = field(default_factory=set)  # of these, ports that have yet to hear their neighbour
    ready: set[str] = field(default_factory=set)  # connected, and hold their rules
    met: set[str] = field(default_factory=set)  # have been ready at some time
    withdrawn: frozenset[str] = frozenset()  # places that somebody took out of service: links and PoPs

    def joined(self, router: str, up_ports: frozenset[int], coming: frozenset[int] = frozenset()) -> None:
        """A switch connected. ``coming``: of its ports, those that have light and no session yet. Of a switch that was
        never heard of they are taken to be up; one that was here before has been done without, till they are."""
        self.coming = {(other, port) for other, port in self.coming if other != router}
        if router in self.met:
            coming = frozenset()
        self.up_ports[router] = set(up_ports | coming)
        self.coming |= {(router, port) for port in coming}
        self.ready.discard(router)

    def programmed(self, router: str) -> None:
        """A switch holds its rules: it can be relied on."""
        self.ready.add(router)
        self.met.add(router)

    def left(self, router: str) -> None:
        """A switch's connection ended. It may forward on: what it holds, it holds."""
        self.up_ports.pop(router, None)
        self.coming = {(other, port) for other, port in self.coming if other != router}
        self.ready.discard(router)

    def port_changed(self, router: str, port: int, up: bool) -> bool:
        """A port is up or down; whether that is news."""
        ports = self.up_ports.get(router)
        if ports is None or (not up and (router, port) in self.coming):  # it has yet to come
            return False
        news = up is not (port in ports) or (router, port) in self.coming
        (ports.add if up else ports.discard)(port)
        self.coming.discard((router, port))
        return news

    def none_is_coming(self, router: str | None = None) -> None:
        """What has not come by now, at a router or at any, is down."""
        late = {(at, port) for at, port in self.coming if router in (None, at)}
        for at, port in late:
            self.up_ports[at].discard(port)
        self.coming -= late

    def link_is_up(self, link_id: str) -> bool:
        """Whether both ends are up, as far as they report."""
        link = self.network.link[link_id]
        return all(
            self.network.ports[end][link_id] in self.up_ports[end] for end in (link.a, link.b) if end in self.up_ports
        )

    def half_up(self, link_id: str) -> bool:
        """Whether one end says that it is up, and the other that it is not."""
        link = self.network.link[link_id]
        ends = [end for end in (link.a, link.b) if end in self.up_ports]
        return len(ends) == 2 and len({self.network.ports[end][link_id] in self.up_ports[end] for end in ends}) == 2

    def failures(self) -> Failures:
        """What new paths and routes must not use: links and access lines that are down, and switches that cannot be
        told of new paths; and what they should not."""
        links = frozenset(link.id for link in self.network.links if not self.link_is_up(link.id))
        lines = frozenset(
            line
            for router, up in self.up_ports.items()
            for line, port in self.network.access_link_ports[router].items()
            if port not in up
        )
        return Failures(links, frozenset(self.met - self.ready), self.avoided(), lines)

    def avoided(self) -> frozenset[str]:
        """The links that are out of service."""
        return frozenset[str]().union(*(links_of(self.network, place) for place in self.withdrawn))

    def headless(self) -> frozenset[str]:
        """Switches that lost the controller and, for all we know, forward on: a neighbour sees its port to them up,
        or there is no neighbour left to ask that would not be headless itself."""
        gone = self.met - self.up_ports.keys()
        if not self.up_ports:
            return frozenset(gone)
        found: set[str] = set()
        asked = list(self.up_ports)
        while asked:
            router = asked.pop()
            for link_id, port in self.network.ports[router].items():
                neighbour = self.network.link[link_id].other(router)
                if neighbour in gone - found and port in self.up_ports.get(router, {port}):
                    found.add(neighbour)
                    asked.append(neighbour)
        return frozenset(found)


def links_of(network: Network, place: str) -> frozenset[str]:
    """The links that are out of service with a place: a link itself, or those that lead to a PoP from elsewhere; none
    for what is no place."""
    if place in network.link:
        return frozenset({place})
    if place not in network.pop:
        return frozenset()
    routers = frozenset(network.pop[place].routers)
    return frozenset(link.id for link in network.links if len({link.a, link.b} & routers) == 1)
