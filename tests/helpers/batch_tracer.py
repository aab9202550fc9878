"""Traces very many packets through a fabric: the rest of a path is computed once for each located packet.

Rules depend on a packet's TTL only by its expiry. So located packets are compared without it, which makes them finitely
many: a packet that returns to the same location loops, and any other path ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from helsewan.controller.openflow.entries import CONTROLLER, FlowRule, Group, GroupRule, Table
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.fabric import End, Fabric, LocatedPacket
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import Choice, Switch, Visit

Sent = tuple[int, Packet] | None  # output port and packet; None: dropped


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a path ends: the router, and the site on delivery. ``met`` are the routers on the path, ``hops`` is their
    number."""

    end: End
    router: str
    site: str | None = None
    met: frozenset[str] = frozenset()
    hops: int = 0

    def after(self, router: str) -> Outcome:
        """The outcome of the same path extended by ``router`` at its start."""
        return replace(self, met=self.met | {router}, hops=self.hops + 1)


# The entry of the table core that matches a label, and its group.
MatchedRules = tuple[FlowRule | None, GroupRule | None]


@dataclass
class StepCache:
    """The outputs of switches, computed once for every packet and set of ports that are down. They depend on the entry
    and the group that the label matches, so they are the same in all states of the network in which these are the
    same."""

    passing: dict[tuple[LocatedPacket, MatchedRules, frozenset[int]], Sent] = field(default_factory=dict)
    entering: dict[tuple[str, GroupRule, Packet, frozenset[int]], Sent] = field(default_factory=dict)

    def transit(self, fabric: Fabric, at: LocatedPacket, known: MatchedRules) -> Sent:
        """The output for a packet on the path."""
        key = at, known, fabric.ports_down[at.router]
        if key not in self.passing:
            self.passing[key] = _sent(fabric.visit(at))
        return self.passing[key]

    def ingress(self, fabric: Fabric, router: str, choice: Choice) -> Sent:
        """The output for a packet that a router's ingress pipeline gives to a group."""
        down = fabric.ports_down[router]
        key = router, fabric.switches[router].groups[choice.group.id], choice.packet, down
        if key not in self.entering:
            self.entering[key] = _sent(fabric.switches[router].reselect_bucket(choice, TRUNK_PORT, down))
        return self.entering[key]


@dataclass
class BatchTracer:
    """Traces through one fabric. ``steps`` may be shared by fabrics whose switches have the same ingress rules."""

    fabric: Fabric
    steps: StepCache = field(default_factory=StepCache)
    outcomes: dict[LocatedPacket, Outcome] = field(default_factory=dict)
    known: dict[str, dict[int, MatchedRules]] = field(default_factory=dict)

    def of(self, router: str, choice: Choice) -> Outcome:
        """The outcome of a packet that a router gives to a group."""
        path: list[LocatedPacket] = []
        onward = self._after(router, self.steps.ingress(self.fabric, router, choice))
        while isinstance(onward, LocatedPacket):
            known = self.outcomes.get(onward)
            if known is None:
                path.append(onward)
                self.outcomes[onward] = Outcome(End.LOOPED, onward.router)  # unless the path turns out to end
                matched = self._matched_rules(onward)
                onward = self._after(onward.router, self.steps.transit(self.fabric, onward, matched))
            else:
                onward = known
        for at in reversed(path):
            onward = self.outcomes[at] = onward.after(at.router)
        return onward.after(router)

    def _matched_rules(self, at: LocatedPacket) -> MatchedRules:
        """The entry and the group that a labelled packet matches at its router."""
        if at.router not in self.known:
            self.known[at.router] = _by_label(self.fabric.switches[at.router])
        return self.known[at.router].get(at.packet.labels[0].label, (None, None))

    def _after(self, router: str, sent: Sent) -> LocatedPacket | Outcome:
        if sent is None:
            return Outcome(End.DROPPED, router)
        port, packet = sent
        if site := self.fabric.site_behind(router, port, packet):
            return Outcome(End.DELIVERED, router, site)
        return self.fabric.next_hop(router, port, packet) or Outcome(End.LOST, router)


def _by_label(switch: Switch) -> dict[int, MatchedRules]:
    """The entries of the table core by label, with their groups."""
    found: dict[int, MatchedRules] = {}
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
