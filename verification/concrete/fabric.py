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

    DELIVERED = "out of a site's access link"
    DROPPED = "a switch drops it or sends it to the controller only"
    LOST = "sent to a port or VLAN with nothing behind it"
    LOOPED = "it enters a router again by the same port and unchanged except for its TTL"


@dataclass(frozen=True, slots=True)
class LocatedPacket:
    """A located packet (as in NetKAT): a packet about to enter a router by a port."""

    router: str
    port: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class Hop:
    """What one router on the path did; ``ingress`` is the packet as it entered the router."""

    ingress: LocatedPacket
    visit: Visit

    def __str__(self) -> str:
        lines = [f"{self.ingress.router}, in by port {self.ingress.port}"]
        lines += [f"  {rule}" for rule in self.visit.rules]
        for choice in self.visit.choices:
            taken = "no bucket is live" if choice.bucket is None else f"takes bucket {choice.bucket}"
            lines.append(f"  {choice.group}: {taken}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Trace:
    """The path of a packet. ``site`` owns the access link it was delivered to, ``packet`` is its final form; ``reason``
    is why it was dropped."""

    hops: tuple[Hop, ...]
    end: End
    site: str | None = None
    packet: Packet | None = None
    reason: Drop | Stop | None = None

    @property
    def routers(self) -> tuple[str, ...]:
        """The routers on the path."""
        return tuple(hop.ingress.router for hop in self.hops)

    def __str__(self) -> str:
        reason = "" if self.reason is None else f" ({self.reason.name})"
        return "\n".join([*map(str, self.hops), f"{self.end.name}{reason} {self.site or ''}".rstrip()])


@dataclass(frozen=True)
class Fabric:
    """A network's switches in a state in which some components have failed; the ports at these are down."""

    network: Network
    switches: Mapping[str, Switch]
    failures: Failures = field(default_factory=Failures)

    @classmethod
    def of(cls, network: Network, rules: Mapping[str, RuleSet]) -> Fabric:
        """A network whose switches hold these rules, by router id, with nothing failed."""
        return cls(network, {router: Switch.of(each) for router, each in rules.items()})

    def trace_from(self, site: str, packet: Packet, line: int = 0) -> Trace:
        """The trace of a packet that a site sends on its access link number ``line``."""
        return self.trace(self.ingress(site, packet, line))

    def ingress(self, site: str, packet: Packet, line: int = 0) -> LocatedPacket:
        """The router and port by which a packet enters that a site sends on its access link number ``line``."""
        access = self.network.site[site].accesses[line]
        if port := self.network.access_link_ports[access.router].get((site, line)):
            return LocatedPacket(access.router, port, packet)
        return LocatedPacket(access.router, TRUNK_PORT, packet.but(vlan_vid=access.vlan | VLAN_PRESENT))

    def trace(self, start: LocatedPacket) -> Trace:
        """The trace of a packet from a router on.

        Raises ValueError where a switch forwards more than one copy: no generated rule does."""
        return self._follow(start, self.visit(start))

    def trace_out_of(self, router: str, packet: Packet, actions: tuple[Action, ...]) -> Trace:
        """The trace of a packet that the controller sends through a router (packet-out) with these actions."""
        visit = self.switches[router].send(packet, actions, self.ports_down[router])
        return self._follow(LocatedPacket(router, CONTROLLER, packet), visit)

    def _follow(self, at: LocatedPacket, visit: Visit) -> Trace:
        """The trace from ``at`` on, given the result of the first router."""
        hops: list[Hop] = []
        met: set[LocatedPacket] = set()
        while True:
            hops.append(Hop(at, visit))
            outputs = [(port, packet) for port, packet in visit.outputs if port != CONTROLLER]
            if not outputs:
                return Trace(tuple(hops), End.DROPPED, reason=visit.reason)
            if len(outputs) > 1:
                raise ValueError(f"{at.router} sends {len(outputs)} packets out")
            port, packet = outputs[0]
            if port not in self._link_at[at.router]:
                site = self.site_behind(at.router, port, packet)
                return Trace(tuple(hops), End.DELIVERED if site else End.LOST, site, packet)
            onward = self.next_hop(at.router, port, packet)
            if onward is None:
                return Trace(tuple(hops), End.LOST)
            met.add(LocatedPacket(at.router, at.port, at.packet.with_fresh_ttl()))
            if LocatedPacket(onward.router, onward.port, onward.packet.with_fresh_ttl()) in met:
                return Trace(tuple(hops), End.LOOPED)
            at, visit = onward, self.visit(onward)

    def links(self, trace: Trace) -> tuple[str, ...]:
        """The links on a trace."""
        return tuple(self._link_at[hop.ingress.router][hop.ingress.port] for hop in trace.hops[1:])

    def visit(self, at: LocatedPacket) -> Visit:
        """What the router does to the packet."""
        return self.switches[at.router].receive(at.packet, at.port, self.ports_down[at.router])

    def next_hop(self, router: str, port: int, packet: Packet) -> LocatedPacket | None:
        """The packet at the far end of the link behind a port; None if there is no link or it is down."""
        link = self._link_at[router].get(port)
        if link is None or port in self.ports_down[router]:
            return None
        far = self.network.link[link].other(router)
        return LocatedPacket(far, self.network.ports[far][link], packet)

    def site_behind(self, router: str, port: int, packet: Packet) -> str | None:
        """The site to whose access link a packet goes out of a port; None if there is none or the port is down."""
        down = port in self.ports_down[router]
        return None if down else self._sites.get((router, port, packet.fields.get("vlan_vid", 0)))

    @cached_property
    def ports_down(self) -> dict[str, frozenset[int]]:
        """The ports of each router whose link, access link or neighbour has failed."""
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
        """Sites by router, port and VLAN tag of their access links."""
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
