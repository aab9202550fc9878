"""All switches together: a packet's path from an access link to its end, hop by hop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from helsewan.controller.openflow.entries import CONTROLLER, Action, RuleSet
from helsewan.controller.openflow.pipeline import VLAN_PRESENT, Drop
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import TRUNK_PORT, Network
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import Stop, Switch, Visit


class End(Enum):
    """How a packet's path ends."""

    DELIVERED = "out of a site's line"
    DROPPED = "a switch sent it nowhere, or to the controller alone"
    LOST = "sent out of a port or on a VLAN that leads nowhere"
    LOOPED = "it came where it had been, as it had been, but for its age"


@dataclass(frozen=True, slots=True)
class Place:
    """A packet about to enter a router by a port."""

    router: str
    port: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class Hop:
    """What one router on the path did; ``came`` is how the packet reached it."""

    came: Place
    visit: Visit

    def __str__(self) -> str:
        lines = [f"{self.came.router}, in by port {self.came.port}"]
        lines += [f"  {rule}" for rule in self.visit.rules]
        for choice in self.visit.choices:
            taken = "no bucket is alive" if choice.bucket is None else f"takes bucket {choice.bucket}"
            lines.append(f"  {choice.group}: {taken}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Trace:
    """A packet's whole path. ``site`` owns the access link it was delivered to, ``packet`` is its final form;
    ``reason`` says why it was dropped."""

    hops: tuple[Hop, ...]
    end: End
    site: str | None = None
    packet: Packet | None = None
    reason: Drop | Stop | None = None

    @property
    def routers(self) -> tuple[str, ...]:
        """The routers it met."""
        return tuple(hop.came.router for hop in self.hops)

    def __str__(self) -> str:
        reason = "" if self.reason is None else f" ({self.reason.name})"
        return "\n".join([*map(str, self.hops), f"{self.end.name}{reason} {self.site or ''}".rstrip()])


@dataclass(frozen=True)
class Fabric:
    """A network's switches in a state in which some links and routers have failed; every port reflects it."""

    network: Network
    switches: Mapping[str, Switch]
    failures: Failures = field(default_factory=Failures)

    @classmethod
    def of(cls, network: Network, rules: Mapping[str, RuleSet]) -> Fabric:
        """A whole network whose switches hold these rules, by router id."""
        return cls(network, {router: Switch.of(each) for router, each in rules.items()})

    def trace_from(self, site: str, packet: Packet, line: int = 0) -> Trace:
        """The way of a packet that a site sends on its access line number ``line``."""
        return self.walk(self.entrance(site, packet, line))

    def entrance(self, site: str, packet: Packet, line: int = 0) -> Place:
        """Where a packet comes in that a site sends on its access line number ``line``."""
        access = self.network.site[site].accesses[line]
        if port := self.network.access_link_ports[access.router].get((site, line)):
            return Place(access.router, port, packet)
        return Place(access.router, TRUNK_PORT, packet.but(vlan_vid=access.vlan | VLAN_PRESENT))

    def walk(self, start: Place) -> Trace:
        """The way of a packet from a place on.

        Raises ValueError where a switch sends two packets on: no rule does that."""
        return self._follow(start, self.visit(start))

    def trace_out_of(self, router: str, packet: Packet, actions: tuple[Action, ...]) -> Trace:
        """The way of a packet that a router's own processor has it treat so."""
        visit = self.switches[router].send(packet, actions, self.ports_down[router])
        return self._follow(Place(router, CONTROLLER, packet), visit)

    def _follow(self, at: Place, visit: Visit) -> Trace:
        """The way from a first router on, where ``visit`` became of the packet."""
        hops: list[Hop] = []
        met: set[Place] = set()
        while True:
            hops.append(Hop(at, visit))
            ways = [(port, packet) for port, packet in visit.outputs if port != CONTROLLER]
            if not ways:
                return Trace(tuple(hops), End.DROPPED, reason=visit.reason)
            if len(ways) > 1:
                raise ValueError(f"{at.router} sends {len(ways)} packets out")
            port, packet = ways[0]
            if port not in self._link_at[at.router]:
                site = self.site_behind(at.router, port, packet)
                return Trace(tuple(hops), End.DELIVERED if site else End.LOST, site, packet)
            onward = self.beyond(at.router, port, packet)
            if onward is None:
                return Trace(tuple(hops), End.LOST)
            met.add(Place(at.router, at.port, at.packet.ageless()))
            if Place(onward.router, onward.port, onward.packet.ageless()) in met:
                return Trace(tuple(hops), End.LOOPED)
            at, visit = onward, self.visit(onward)

    def links(self, walk: Trace) -> tuple[str, ...]:
        """The fibres that a packet took on its way."""
        return tuple(self._link_at[hop.came.router][hop.came.port] for hop in walk.hops[1:])

    def visit(self, place: Place) -> Visit:
        """What the router there does to the packet."""
        return self.switches[place.router].receive(place.packet, place.port, self.ports_down[place.router])

    def beyond(self, router: str, port: int, packet: Packet) -> Place | None:
        """Where a packet comes that leaves by a fibre's port; None if there is no way."""
        link = self._link_at[router].get(port)
        if link is None or port in self.ports_down[router]:
            return None
        far = self.network.link[link].other(router)
        return Place(far, self.network.ports[far][link], packet)

    def site_behind(self, router: str, port: int, packet: Packet) -> str | None:
        """The site on whose access line of this router a packet leaves; None if there is none, or it is down."""
        down = port in self.ports_down[router]
        return None if down else self._sites.get((router, port, packet.fields.get("vlan_vid", 0)))

    @cached_property
    def ports_down(self) -> dict[str, frozenset[int]]:
        """The ports of each router behind which a line or the neighbour has failed."""
        lines = self.network.access_link_ports
        return {
            router: frozenset(port for link, port in ports.items() if self._is_down(router, link))
            | frozenset(port for line, port in lines[router].items() if line in self.failures.access_links)
            for router, ports in self.network.ports.items()
        }

    def _is_down(self, router: str, link: str) -> bool:
        far = self.network.link[link].other(router)
        return link in self.failures.links or bool({router, far} & self.failures.routers)

    @cached_property
    def _link_at(self) -> dict[str, dict[int, str]]:
        """Links by router and port."""
        return {router: {port: link for link, port in ports.items()} for router, ports in self.network.ports.items()}

    @cached_property
    def _sites(self) -> dict[tuple[str, int, int], str]:
        """Sites by router, port and tag of their access lines."""
        own = {
            (router, port, 0): site
            for router in self.network.access_link_ports
            for (site, _), port in self.network.access_link_ports[router].items()
        }
        return own | {
            (access.router, TRUNK_PORT, access.vlan | VLAN_PRESENT): site.id
            for site in self.network.sites
            for access in site.accesses
            if len(site.accesses) == 1
        }
