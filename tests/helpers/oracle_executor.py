"""An independent model of switches as Z3 constraints, written from OpenFlow 1.3.5 and, where cited, Open vSwitch's
manual (ovs-actions(7)). It shares nothing with the interpreter but the values of rules.

A packet is a set of bit vectors. Every table is one step: an entry gets the packets that match it and no entry of
higher priority; the state after the table is a choice among the results of its entries. A router is evaluated once per
port and hop, whatever the number of paths that lead there, so formulas grow with routers and hops, not with paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import z3
from oracle_state import (
    ALIASES,
    DEEPEST,
    OWN,
    PRESENT,
    State,
    can_meet,
    chosen,
    copied,
    has,
    instructions,
    matches,
    merged,
    number,
    popped,
    possible,
    pushed,
    put,
    symbolic_packet,
    width,
)
from z3 import BitVecRef as Bits
from z3 import BoolRef as Truth

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    Action,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Move,
    Output,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    RuleSet,
    SetField,
)
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import TRUNK_PORT, Network

# One router.

Sent = tuple[Truth, int, State]  # condition, output port, packet


@dataclass
class Visit:
    """A packet in one router: the packets pending at every table, and those sent. ``chance`` is the condition that
    OpenFlow leaves undefined which entry is used (5.3)."""

    rules: RuleSet
    down: frozenset[int]
    arrived: int
    pending: dict[int, list[tuple[Truth, State]]] = field(default_factory=lambda: defaultdict(list))
    sent: list[Sent] = field(default_factory=list)
    chance: list[Truth] = field(default_factory=list)

    def run(self, condition: Truth, state: State) -> Visit:
        """Evaluates all tables in turn: an entry goes to later ones only (5.1)."""
        tables: defaultdict[int, list[FlowRule]] = defaultdict(list)
        for rule in self.rules.flows:
            tables[rule.table].append(rule)
        self.pending[0].append((condition, state))
        for table in sorted(tables):
            if self.pending[table]:
                self.table(tables[table], *merged(self.pending[table]))
        return self

    def table(self, rules: list[FlowRule], condition: Truth, state: State) -> None:
        """Evaluates a table: the matching entry of highest priority is used."""
        by_priority: defaultdict[int, list[tuple[Truth, FlowRule]]] = defaultdict(list)
        known: dict[str, tuple[Truth, Bits]] = {}
        for rule in rules:
            if not z3.is_false(taken := matches(state, rule.match, known)):
                by_priority[rule.priority].append((taken, rule))
        for priority in sorted(by_priority, reverse=True):
            alike = by_priority[priority]
            for place, (one, rule) in enumerate(alike):
                for other, rival in alike[:place]:
                    if instructions(rule) != instructions(rival) and can_meet(rule.match, rival.match):
                        self.chance.append(z3.And(condition, one, other))
                self.instructions(rule, z3.And(condition, one), state)
            condition = z3.simplify(z3.And(condition, z3.Not(z3.Or(*(taken for taken, _ in alike)))))

    def instructions(self, rule: FlowRule, condition: Truth, state: State) -> None:
        """Applies an entry's actions, its metadata write and its goto (5.9). Meters pass everything."""
        condition, state = self.actions(rule.actions, condition, state)
        if rule.metadata is not None:
            value, mask = rule.metadata
            state = {**state, "metadata": (state["metadata"] & ~z3.BitVecVal(mask, 64)) | (value & mask)}
        if rule.goto is not None:
            self.pending[rule.goto].append((condition, state))

    def actions(self, actions: tuple[Action, ...], condition: Truth, state: State) -> tuple[Truth, State]:
        """Applies actions in turn; returns the condition under which the packet gets past them, and its state then."""
        for action in actions:
            condition, state = self.action(action, condition, state)
        return condition, state

    def action(self, action: Action, condition: Truth, state: State) -> tuple[Truth, State]:
        """Applies one action; returns as `actions`."""
        match action:
            case Output(port):
                self.output(port, condition, state)
            case SetField(name, value):
                name = ALIASES.get(name, name)
                return condition, put(state, name, z3.BitVecVal(number(value), width(name)))
            case Load(name, value, bits):
                name = ALIASES.get(name, name)
                return condition, copied(state, z3.BitVecVal(value, width(name)), name, bits, 0)
            case Move(source, destination, bits, from_bit, to_bit):
                source, destination = ALIASES.get(source, source), ALIASES.get(destination, destination)
                part = z3.Extract(from_bit + bits - 1, from_bit, state[source])
                there = has(state, source)
                return condition, chosen(there, copied(state, part, destination, bits, to_bit), state)
            case PushVlan():
                return condition, {**state, "vlan_vid": z3.BitVecVal(PRESENT, 13)}
            case PopVlan():
                return condition, {**state, "vlan_vid": z3.BitVecVal(0, 13)}
            case PushMpls():
                return z3.And(condition, state["depth"] != DEEPEST), pushed(state)
            case PopMpls(eth_type):
                return condition, popped(state, eth_type)
            case DecTtl() | DecMplsTtl():
                return self.decrement_ttl("nw_ttl" if isinstance(action, DecTtl) else "age0", condition, state)
            case CheckLarger(frame_bytes, register):
                larger = z3.If(z3.UGT(state["frame_bytes"], frame_bytes), z3.BitVecVal(1, 32), z3.BitVecVal(0, 32))
                return condition, {**state, register: larger}
            case Group(id_):
                self.group(next(group for group in self.rules.groups if group.id == id_), condition, state)
            case Resubmit(table):
                self.pending[table].append((condition, state))
            case _:
                raise NotImplementedError(action)
        return condition, state

    def decrement_ttl(self, name: str, condition: Truth, state: State) -> tuple[Truth, State]:
        """Decrements a TTL; processing ends where it expires."""
        there = has(state, name)
        alive = z3.Or(z3.Not(there), z3.UGT(state[name], 1))
        return z3.And(condition, alive), {**state, name: z3.If(there, state[name] - 1, state[name])}

    def group(self, group: GroupRule, condition: Truth, state: State) -> None:
        """Applies the first bucket whose watched port is up to a copy (5.6.1, 5.10)."""
        bucket = next((each for each in group.buckets if each.watch_port not in self.down), None)
        if bucket is not None:
            self.actions(bucket.actions, condition, state)

    def output(self, port: int, condition: Truth, state: State) -> None:
        """Outputs to a port; to the ingress port only by its reserved name (7.2.5, OFPP_IN_PORT)."""
        if port == IN_PORT:
            self.sent.append((z3.And(condition, state["in_port"] == self.arrived), self.arrived, state))
        elif port != CONTROLLER:
            self.sent.append((z3.And(condition, state["in_port"] != port), port, state))


# The whole network.


@dataclass(frozen=True)
class SymbolicOutcome:
    """The outcome of any packet from one access link, as conditions. ``delivered`` is by site, and ``marked`` the DSCP
    on delivery; ``lost``: sent to a port or VLAN with nothing behind it; ``travelling``: not ended after the maximum of
    hops; ``chance``: entries of equal priority conflict. All hold under ``given``, the assumptions on the packet."""

    packet: State
    given: Truth
    delivered: Mapping[str, Truth]
    marked: Mapping[str, Bits]
    lost: Truth
    travelling: Truth
    chance: Truth

    @property
    def elsewhere(self) -> Truth:
        """The condition that the packet is dropped."""
        return z3.Not(z3.Or(self.lost, self.travelling, *self.delivered.values()))


@dataclass(frozen=True)
class SymbolicNetwork:
    """All switches with their rules in one state of the network."""

    network: Network
    rules: Mapping[str, RuleSet]
    failures: Failures = field(default_factory=Failures)
    hops: int = 12

    def outcome(self, site: str, line: int, assumptions: Callable[[State, bool], Truth]) -> SymbolicOutcome:
        """The outcome of the packets that a site sends on an access link; ``assumptions`` returns the assumptions on a
        packet, given whether the access link has its own port or is on the trunk."""
        packet, access = symbolic_packet(), self.network.site[site].accesses[line]
        own = self.network.access_link_ports[access.router].get((site, line))
        first = packet if own else {**packet, "vlan_vid": z3.BitVecVal(access.vlan | PRESENT, 13)}
        given = assumptions(packet, own is not None)
        entering = {(access.router, own or TRUNK_PORT): [(given, first)]}
        ends: defaultdict[str, list[tuple[Truth, State]]] = defaultdict(list)
        lost: list[Truth] = []
        chance: list[Truth] = []
        for _ in range(self.hops):
            leaving: defaultdict[tuple[str, int], list[tuple[Truth, State]]] = defaultdict(list)
            for (router, port), alternatives in entering.items():
                condition, state = merged(alternatives)
                if not possible(condition):
                    continue
                fresh = {name: z3.BitVecVal(0, OWN[name]) for name in ("metadata", "reg0", "reg1", "reg2")}
                fresh["in_port"] = z3.BitVecVal(port, 32)
                visit = Visit(self.rules[router], self.down(router), port).run(condition, {**state, **fresh})
                chance += visit.chance
                for sent in visit.sent:
                    self.forward(router, sent, leaving, ends, lost)
            entering = leaving
            if not entering:
                break
        delivered = {name: z3.Or(*(condition for condition, _ in alternatives)) for name, alternatives in ends.items()}
        marked = {name: merged(alternatives)[1]["ip_dscp"] for name, alternatives in ends.items()}
        rest = z3.Or(*(condition for alternatives in entering.values() for condition, _ in alternatives))
        return SymbolicOutcome(packet, given, delivered, marked, z3.Or(*lost), rest, z3.Or(*chance))

    def forward(
        self,
        router: str,
        sent: Sent,
        leaving: dict[tuple[str, int], list[tuple[Truth, State]]],
        ends: dict[str, list[tuple[Truth, State]]],
        lost: list[Truth],
    ) -> None:
        """Forwards a packet over the link or access link behind a port."""
        condition, port, state = sent
        if port in self.down(router):
            lost.append(condition)
            return
        for link, number_ in self.network.ports[router].items():
            if number_ == port:
                far = self.network.link[link].other(router)
                leaving[far, self.network.ports[far][link]].append((condition, state))
                return
        found: list[Truth] = []
        for site, tag in self.access_links_at(router, port):
            there = z3.And(condition, state["vlan_vid"] == tag)
            ends[site].append((there, state))
            found.append(there)
        lost.append(z3.And(condition, z3.Not(z3.Or(*found))))

    def access_links_at(self, router: str, port: int) -> Iterator[tuple[str, int]]:
        """The sites whose access links end at a port, each with its VLAN (0: untagged)."""
        for site in self.network.sites:
            for line, access in enumerate(site.accesses):
                own = self.network.access_link_ports[router].get((site.id, line)) if access.router == router else None
                if own == port:
                    yield site.id, 0
                elif access.router == router and len(site.accesses) == 1 and port == TRUNK_PORT:
                    yield site.id, access.vlan | PRESENT

    def down(self, router: str) -> frozenset[int]:
        """The ports at failed components."""
        failed = self.failures
        links = {
            port for link, port in self.network.ports[router].items()
            if link in failed.links or {router, self.network.link[link].other(router)} & failed.routers
        }  # fmt: skip
        lines = {port for line, port in self.network.access_link_ports[router].items() if line in failed.access_links}
        return frozenset(links | lines)

    def under(self, failures: Failures) -> SymbolicNetwork:
        """The same switches in another state of the network."""
        return replace(self, failures=failures)
