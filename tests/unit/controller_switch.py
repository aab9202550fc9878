"""Switches in Python: they hold the controller's rules, carry out its orders and pass packets, as OpenFlow says.

An independent reading of the rules, to hold what the controller writes against what the plan means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import Any

from controller.difference import Difference, difference
from controller.orders import Commit, Discard, Order, Prepare, Refusal, Update
from controller.pipeline import MPLS, Purpose, purpose_of
from controller.rules import (
    CONTROLLER,
    IN_PORT,
    Action,
    AnyMeter,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    Entry,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Match,
    Move,
    Output,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from policies.plan import Plan
from topology.model import TRUNK_PORT

TCP, UDP, ICMP = 6, 17, 1
REGISTERS = {"reg0": 0, "reg1": 0, "reg2": 0}


@dataclass
class Packet:
    """Header fields by OpenFlow name; labels from the bottom up, each a dict of its fields."""

    fields: dict[str, Any]
    labels: list[dict[str, int]] = field(default_factory=list)

    def get(self, name: str) -> Any:
        """A field as a match sees it; None where the packet has none."""
        if self.labels:
            top = {**self.labels[-1], "mpls_bos": int(len(self.labels) == 1)}
            if name in ("mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"):
                return top[name]
            if name == "eth_type":
                return MPLS
            if name.startswith(("ip", "tcp", "udp", "icmp")):
                return None
        return self.fields.get(name)

    def set(self, name: str, value: Any) -> None:
        """Overwrites a field."""
        if name.startswith("mpls_"):
            self.labels[-1][name] = value
        else:
            self.fields[name] = value


@dataclass(frozen=True)
class Fate:
    """What became of a packet: the site's line it left on, or the last rule; the routers it passed, and the
    (label, TC) pairs, bottom first, it carried on each link."""

    router: str
    vlan: int | None
    rule: FlowRule | None
    routers: tuple[str, ...]
    labels: tuple[tuple[tuple[int, int], ...], ...]
    packet: Packet

    @property
    def dropped_for(self) -> int | None:
        """The Drop that counted it."""
        purpose, number = purpose_of(self.rule.cookie) if self.rule else (None, 0)
        return number if purpose is Purpose.DROP else None


@dataclass
class Switch:
    """One switch's entries, and the bundles it has been given. It refuses entries that ``refuses`` picks."""

    flows: dict[tuple[Table, int, Match], FlowRule] = field(default_factory=dict)
    groups: dict[int, GroupRule] = field(default_factory=dict)
    meters: dict[int, AnyMeter] = field(default_factory=dict)
    bundles: dict[int, Difference] = field(default_factory=dict)
    by_table: dict[Table, list[FlowRule]] = field(default_factory=dict)  # for looking up; empty: to be made
    refuses: Callable[[Entry], bool] = lambda entry: False

    @property
    def held(self) -> RuleSet:
        """All it holds, as it would tell."""
        return RuleSet(tuple(self.meters.values()), tuple(self.groups.values()), tuple(self.flows.values()))

    def carry_out(self, order: Order) -> Refusal | None:
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
        self.by_table.clear()
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

    def lookup(self, table: Table, packet: Packet) -> FlowRule | None:
        """The decisive entry; two of equal rank that both match would be chance."""
        if not self.by_table:
            for flow in self.flows.values():
                self.by_table.setdefault(flow.table, []).append(flow)
        found = [flow for flow in self.by_table.get(table, ()) if _matches(flow.match, packet)]
        top = [flow for flow in found if flow.priority == max(flow.priority for flow in found)]
        assert len({(flow.actions, flow.goto, flow.metadata) for flow in top}) <= 1, [str(flow) for flow in top]
        return top[0] if top else None


@dataclass
class Fabric:
    """All switches, and which links are down."""

    plan: Plan
    switches: dict[str, Switch]
    down: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, plan: Plan, rules: dict[str, RuleSet]) -> Fabric:
        """A fabric that holds these rules."""
        fabric = cls(plan, {router.id: Switch() for router in plan.network.routers})
        for router, each in rules.items():
            fabric.switches[router].change(difference(RuleSet(), each))
        return fabric

    def up(self, router: str, port: int) -> bool:
        """Whether a port is up."""
        return port == TRUNK_PORT or self._link(router, port) not in self.down

    def _link(self, router: str, port: int) -> str:
        return next(link for link, number in self.plan.network.ports[router].items() if number == port)

    def send(self, site_id: str, **fields: Any) -> Fate:
        """A packet from a site's primary line, addressed to its gateway's MAC."""
        site = self.plan.network.site[site_id]
        line = site.accesses[0]
        header = {"eth_type": 0x0800, "vlan_vid": line.vlan | 0x1000, "ipv4_src": str(site.address4), "nw_ttl": 64}
        return self.forward(line.router, TRUNK_PORT, Packet({**header, "ip_frag": 0, "tcp_flags_nxm": 0, **fields}))

    def inject(self, router: str, packet: Packet, actions: tuple[Action, ...]) -> Fate:
        """A packet that the controller has a switch treat so."""
        packet.fields |= {
            "in_port": CONTROLLER,
            "in_port_nxm": CONTROLLER,
            "metadata": 0,
            "reg0": 0,
            "reg1": 0,
            "reg2": 0,
        }
        run = _Pass(self, router, packet)
        run.act(actions)
        if run.out is None or run.out == TRUNK_PORT:
            vlan = None if run.out is None else packet.fields["vlan_vid"] & 0xFFF
            return Fate(router, vlan, run.rule, (router,), (), packet)
        link = self.plan.network.link[self._link(router, run.out)]
        far = link.other(router)
        return self.forward(far, self.plan.network.ports[far][link.id], packet)

    def forward(self, router: str, port: int, packet: Packet) -> Fate:
        """Follows a packet from a switch's port to its fate. Fails the test if it goes round in circles."""
        routers: list[str] = []
        labels: list[tuple[tuple[int, int], ...]] = []
        while True:
            routers.append(router)
            assert len(routers) <= 64, f"a loop: {routers}"
            out, rule = _Pass(self, router, packet).run(port)
            if out is None or out == TRUNK_PORT:
                vlan = None if out is None else packet.fields["vlan_vid"] & 0xFFF
                return Fate(router, vlan, rule, tuple(routers), tuple(labels), packet)
            labels.append(tuple((each["mpls_label"], each["mpls_tc"]) for each in packet.labels))
            link = self.plan.network.link[self._link(router, out)]
            if link.id in self.down:
                return Fate(router, None, rule, tuple(routers), tuple(labels), packet)
            router = link.other(router)
            port = self.plan.network.ports[router][link.id]


@dataclass
class _Pass:
    """One packet in one switch."""

    fabric: Fabric
    router: str
    packet: Packet
    out: int | None = None
    rule: FlowRule | None = None

    def run(self, port: int) -> tuple[int | None, FlowRule | None]:
        """Port it leaves by (None: dropped) and the last rule it met."""
        self.packet.fields |= {"in_port": port, "in_port_nxm": port, "metadata": 0, **REGISTERS}
        self.table(Table.ADMIT)
        return self.out, self.rule

    def table(self, table: Table | None) -> None:
        """Through a table and those it leads to."""
        while table is not None:
            self.rule = rule = self.fabric.switches[self.router].lookup(table, self.packet)
            if rule is None:
                return
            if not self.act(rule.actions):
                return
            if rule.metadata is not None:
                value, mask = rule.metadata
                self.packet.fields["metadata"] = self.packet.fields["metadata"] & ~mask | value
            table = rule.goto

    def act(self, actions: tuple[Action, ...]) -> bool:
        """Does the actions; False if the packet's life ran out."""
        packet = self.packet
        for action in actions:
            match action:
                case Output(port):
                    came_in = packet.fields["in_port_nxm"]
                    self.out = came_in if port == IN_PORT else None if port in (came_in, CONTROLLER) else port
                case SetField(name, value) | Load(name, value, _):
                    packet.set(name, value)
                case Move(source, destination, bits, offset, to):
                    value = packet.get(source)
                    if isinstance(value, int):
                        old = packet.get(destination) or 0
                        mask = (1 << bits) - 1
                        packet.set(destination, old & ~(mask << to) | (value >> offset & mask) << to)
                    else:
                        packet.set(destination, value)
                case PushVlan():
                    packet.fields["vlan_vid"] = 0x1000
                case PopVlan():
                    del packet.fields["vlan_vid"]
                case PushMpls():
                    below = packet.labels[-1] if packet.labels else {"mpls_tc": 0, "mpls_ttl": packet.fields["nw_ttl"]}
                    packet.labels.append({**below, "mpls_label": 0})
                case PopMpls(eth_type):
                    packet.labels.pop()
                    assert (eth_type == MPLS) is bool(packet.labels)
                case DecTtl():
                    if packet.fields["nw_ttl"] <= 1:
                        return False
                    packet.fields["nw_ttl"] -= 1
                case DecMplsTtl():
                    if packet.labels[-1]["mpls_ttl"] <= 1:
                        return False
                    packet.labels[-1]["mpls_ttl"] -= 1
                case Group(number):
                    group = self.fabric.switches[self.router].groups[number]
                    alive = [each for each in group.buckets if self.fabric.up(self.router, each.watch_port)]
                    self.act(alive[0].actions if alive else ())
                case CheckLarger(frame_bytes, register):
                    packet.set(register, int(packet.fields.get("frame_bytes", 0) > frame_bytes))
                case Resubmit(table):
                    self.table(table)
        return True


def _matches(match: Match, packet: Packet) -> bool:
    return all(_matches_field(packet.get(name), wanted) for name, wanted in match)


def _matches_field(value: Any, wanted: Any) -> bool:
    if value is None:
        return False
    if not isinstance(wanted, tuple):
        return bool(value == wanted)
    expected, mask = map(_number, wanted)
    return bool(_number(value) & mask == expected)


@cache
def _number(value: int | str) -> int:
    """A field's value, be it an address, as a number."""
    return int(ip_address(value)) if isinstance(value, str) else value
