"""Very many ways through a fabric at once: what is known of a place holds for every packet that comes by.

A switch does not look at a packet's age but to end its life. So places are told apart without it, which makes
them finitely many: a packet that comes to a place twice goes round for ever, and otherwise its way has an end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from helsewan.controller.openflow.entries import CONTROLLER, FlowRule, Group, GroupRule, Table
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.fabric import End, Fabric, LocatedPacket
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import Choice, Switch, Visit

Sent = tuple[int, Packet] | None  # the port a router sends a packet out of, and what it sends


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a way ends: where, at which site's line if any; ``met`` are the routers on it and ``hops`` their number."""

    end: End
    router: str
    site: str | None = None
    met: frozenset[str] = frozenset()
    hops: int = 0

    def after(self, router: str) -> Outcome:
        """The same end of a way that begins one router earlier."""
        return replace(self, met=self.met | {router}, hops=self.hops + 1)


Known = tuple[FlowRule | None, GroupRule | None]  # the entry of the table core that a label meets, and its group


@dataclass
class StepCache:
    """What switches do, worked out once for every packet and every set of their ports that are down. It hangs on the
    entry and the group that a label meets, so it is the same in all states of the network in which these are."""

    passing: dict[tuple[LocatedPacket, Known, frozenset[int]], Sent] = field(default_factory=dict)
    entering: dict[tuple[str, GroupRule, Packet, frozenset[int]], Sent] = field(default_factory=dict)

    def on(self, fabric: Fabric, place: LocatedPacket, known: Known) -> Sent:
        """From a place on."""
        key = place, known, fabric.ports_down[place.router]
        if key not in self.passing:
            self.passing[key] = _sent(fabric.visit(place))
        return self.passing[key]

    def off(self, fabric: Fabric, router: str, choice: Choice) -> Sent:
        """From a site's line at a router, handed to a group."""
        down = fabric.ports_down[router]
        key = router, fabric.switches[router].groups[choice.group.id], choice.packet, down
        if key not in self.entering:
            self.entering[key] = _sent(fabric.switches[router].reselect_bucket(choice, TRUNK_PORT, down))
        return self.entering[key]


@dataclass
class BatchTracer:
    """PathTree through one fabric. ``steps`` may be shared by fabrics whose switches have the same access side."""

    fabric: Fabric
    steps: StepCache = field(default_factory=StepCache)
    outcomes: dict[LocatedPacket, Outcome] = field(default_factory=dict)
    known: dict[str, dict[int, Known]] = field(default_factory=dict)

    def of(self, router: str, choice: Choice) -> Outcome:
        """What becomes of a packet that a router hands to a group."""
        way: list[LocatedPacket] = []
        onward = self._after(router, self.steps.off(self.fabric, router, choice))
        while isinstance(onward, LocatedPacket):
            known = self.outcomes.get(onward)
            if known is None:
                way.append(onward)
                self.outcomes[onward] = Outcome(End.LOOPED, onward.router)  # unless an end is found
                onward = self._after(onward.router, self.steps.on(self.fabric, onward, self._met(onward)))
            else:
                onward = known
        for place in reversed(way):
            onward = self.outcomes[place] = onward.after(place.router)
        return onward.after(router)

    def _met(self, place: LocatedPacket) -> Known:
        """What a labelled packet meets there."""
        if place.router not in self.known:
            self.known[place.router] = _by_label(self.fabric.switches[place.router])
        return self.known[place.router].get(place.packet.labels[0].label, (None, None))

    def _after(self, router: str, sent: Sent) -> LocatedPacket | Outcome:
        if sent is None:
            return Outcome(End.DROPPED, router)
        port, packet = sent
        if site := self.fabric.site_behind(router, port, packet):
            return Outcome(End.DELIVERED, router, site)
        return self.fabric.next_hop(router, port, packet) or Outcome(End.LOST, router)


def _by_label(switch: Switch) -> dict[int, Known]:
    """The entries of the table core with their groups."""
    found: dict[int, Known] = {}
    for rule in switch.tables[Table.CORE].rules:
        label = dict(rule.match).get("mpls_label")
        if isinstance(label, int):
            group = next((action.id for action in rule.actions if isinstance(action, Group)), None)
            found[label] = rule, None if group is None else switch.groups[group]
    return found


def _sent(visit: Visit) -> Sent:
    outward = [(port, packet.with_fresh_ttl()) for port, packet in visit.outputs if port != CONTROLLER]
    if not outward:
        return None
    (sent,) = outward
    return sent
