"""Switches for the controller's tests: they hold its rules and carry out its orders. What their rules do to packets,
the interpreter says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helsewan.controller.openflow.entries import (
    IPV4,
    Action,
    AnyMeter,
    Entry,
    FlowRule,
    Group,
    GroupRule,
    Match,
    RuleSet,
    Table,
)
from helsewan.controller.openflow.pipeline import Drop
from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.commands import Commit, Discard, Prepare, Refusal, SwitchCommand, Update
from helsewan.controller.update.rule_diff import Difference, difference
from helsewan.policies.plan import Plan
from helsewan.topology.model import ACCESS_LINK_PORTS, TRUNK_PORT, AccessLinkId
from helsewan.verification.concrete.fabric import End, Trace
from helsewan.verification.concrete.fabric import Fabric as Interpreted
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import PacketIn
from helsewan.verification.concrete.switch import Switch as Reading

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


@dataclass(frozen=True)
class Fate:
    """What became of a packet: its way, and the last rule on it."""

    walk: Trace

    @property
    def router(self) -> str:
        """Where it ended."""
        return self.routers[-1]

    @property
    def routers(self) -> tuple[str, ...]:
        """The routers it passed."""
        return self.walk.routers

    @property
    def site(self) -> str | None:
        """Whose line it left on."""
        return self.walk.site

    @property
    def vlan(self) -> int | None:
        """The site's line it left on."""
        if self.walk.end is not End.DELIVERED:
            return None
        ((port, packet),) = self.walk.hops[-1].visit.outputs
        return packet.fields["vlan_vid"] & 0xFFF if port == TRUNK_PORT else port - ACCESS_LINK_PORTS

    @property
    def packet(self) -> Packet:
        """As what it left."""
        assert self.walk.packet is not None, self.walk
        return self.walk.packet

    @property
    def rule(self) -> FlowRule:
        """The last rule it met."""
        return self.walk.hops[-1].visit.rules[-1]

    @property
    def labels(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The (label, TC) pairs, bottom first, it carried on each link."""
        stacks = (hop.ingress.packet.labels for hop in self.walk.hops[1:])
        return tuple(tuple((each.label, each.tc) for each in reversed(stack)) for stack in stacks)

    @property
    def dropped_for(self) -> Drop | None:
        """The Drop that counted it."""
        return self.walk.reason if isinstance(self.walk.reason, Drop) else None

    @property
    def handed_up(self) -> PacketIn:
        """What the last router's own processor got."""
        handed_up = self.walk.hops[-1].visit.packet_in
        assert handed_up is not None, self.walk
        return handed_up


@dataclass
class Switch:
    """One switch's entries, and the bundles it has been given. It refuses entries that ``refuses`` picks."""

    flows: dict[tuple[Table, int, Match], FlowRule] = field(default_factory=dict)
    groups: dict[int, GroupRule] = field(default_factory=dict)
    meters: dict[int, AnyMeter] = field(default_factory=dict)
    bundles: dict[int, Difference] = field(default_factory=dict)
    refuses: Callable[[Entry], bool] = lambda entry: False
    known: Reading | None = None  # what it holds, as the interpreter has it

    @property
    def held(self) -> RuleSet:
        """All it holds, as it would tell."""
        return RuleSet(tuple(self.meters.values()), tuple(self.groups.values()), tuple(self.flows.values()))

    def carry_out(self, order: SwitchCommand) -> Refusal | None:
        """An order, with OpenFlow's errors: groups that are there are not added, others not changed. Meters are
        changed one by one, the rest all or nothing."""
        if isinstance(order, Prepare):
            self.bundles[order.number] = order.difference
        elif isinstance(order, Discard):
            del self.bundles[order.number]
        elif isinstance(order, Commit):
            assert self.bundles.pop(order.number) == order.difference
            return self.change(order.difference)
        elif isinstance(order, Update):
            return self.change(order.difference)
        return None

    def change(self, change: Difference) -> Refusal | None:
        """Makes a difference."""
        self.known = None
        for meter in (*change.add.meters, *change.change.meters):
            assert (meter.id in self.meters) is (meter in change.change.meters), meter
            self.meters[meter.id] = meter
        for entry in (*change.add, *change.change, *change.remove):
            if self.refuses(entry):
                return Refusal(str(entry), "not wanted")
        for group in (*change.add.groups, *change.change.groups):
            assert (group.id in self.groups) is (group in change.change.groups), group
            self.groups[group.id] = group
        for flow in change.change.flows:
            assert (flow.table, flow.priority, flow.match) in self.flows, flow
        for flow in (*change.add.flows, *change.change.flows):
            for action in flow.actions:
                assert not isinstance(action, Group) or action.id in self.groups, flow
            assert flow.meter is None or flow.meter in self.meters, flow
            self.flows[flow.table, flow.priority, flow.match] = flow
        for flow in change.remove.flows:
            self.flows.pop((flow.table, flow.priority, flow.match), None)
        for group in change.remove.groups:
            self.groups.pop(group.id, None)
            assert not any(Group(group.id) in flow.actions for flow in self.flows.values()), group
        for meter in change.remove.meters:
            self.meters.pop(meter.id, None)
            assert not any(flow.meter == meter.id for flow in self.flows.values()), meter
        return None

    @property
    def reading(self) -> Reading:
        """What it holds, for the interpreter."""
        self.known = self.known or Reading.of(self.held)
        return self.known


@dataclass
class Fabric:
    """All switches, and which links and access lines are down."""

    plan: Plan
    switches: dict[str, Switch]
    down: set[str] = field(default_factory=set)
    dark: set[AccessLinkId] = field(default_factory=set)
    known: Interpreted | None = None  # the last reading of all

    @classmethod
    def of(cls, plan: Plan, rules: dict[str, RuleSet]) -> Fabric:
        """A fabric that holds these rules."""
        fabric = cls(plan, {router.id: Switch() for router in plan.network.routers})
        for router, each in rules.items():
            fabric.switches[router].change(difference(RuleSet(), each))
        return fabric

    @property
    def reading(self) -> Interpreted:
        """All of it, for the interpreter."""
        fresh = Interpreted(
            self.plan.network,
            {router: switch.reading for router, switch in self.switches.items()},
            Failures(frozenset(self.down), access_links=frozenset(self.dark)),
        )
        if self.known is None or (self.known.switches, self.known.failures) != (fresh.switches, fresh.failures):
            self.known = fresh
        return self.known

    def send(self, site_id: str, line: int = 0, **fields: Any) -> Fate:
        """A packet from a site's line, addressed to its gateway's MAC. Fails the test if it goes in circles."""
        site = self.plan.network.site[site_id]
        header = {"eth_type": IPV4, "eth_src": site.mac, "eth_dst": 0, "nw_ttl": 64, "ip_dscp": 0, "ip_frag": 0}
        header |= {"ipv4_src": str(site.address4)} if "ipv6_dst" not in fields else {}
        return _sound(self.reading.trace_from(site_id, Packet.of(**{**header, **fields}), line))

    def inject(self, router: str, packet: Packet, actions: tuple[Action, ...]) -> Fate:
        """A packet that a router's own processor has it treat so."""
        return _sound(self.reading.trace_out_of(router, packet, actions))


def _sound(walk: Trace) -> Fate:
    assert walk.end is not End.LOOPED, walk
    return Fate(walk)
