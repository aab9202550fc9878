"""Switches once more, as constraints for Z3: a second opinion on what rules do, written from OpenFlow 1.3.5 and, where
it says so, from Open vSwitch's manual (ovs-actions(7)). It shares nothing with the interpreter but the rules' values.

A packet is a bundle of bit vectors. Every table is one step: what an entry takes is its match and none of a higher
priority; what the table makes of the packet is a choice among what its entries do. A router is entered once per port
and hop, whatever the ways that lead there, so the formulas grow with routers and hops, not with ways.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import z3
from z3 import BitVecRef as Bits
from z3 import BoolRef as Truth

from helsewan.controller.openflow.entries import (
    ARP,
    CONTROLLER,
    IN_PORT,
    IPV4,
    IPV6,
    MPLS,
    Action,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
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
    Value,
)
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import TRUNK_PORT, Network

PRESENT = 0x1000  # OFPVID_PRESENT (7.2.3.7)
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
DEEPEST = 3  # labels that Open vSwitch keeps
WIDTH = {
    "eth_src": 48, "eth_dst": 48, "eth_type": 16, "vlan_vid": 13,
    "ip_proto": 8, "ip_dscp": 6, "ip_frag": 2, "nw_ttl": 8,
    "ipv4_src": 32, "ipv4_dst": 32, "ipv6_src": 128, "ipv6_dst": 128,
    "tcp_src": 16, "tcp_dst": 16, "tcp_flags": 12, "udp_src": 16, "udp_dst": 16, "icmpv4_type": 8, "icmpv6_type": 8,
    "ipv6_nd_target": 128, "ipv6_nd_tll": 48, "nd_reserved": 32, "nd_options_type": 8,
    "arp_op": 16, "arp_spa": 32, "arp_tpa": 32, "arp_sha": 48, "arp_tha": 48,
    "frame_bytes": 32,
}  # fmt: skip
LABELS = {f"{what}{place}": bits for place in range(DEEPEST) for what, bits in (("label", 20), ("tc", 3), ("age", 8))}
OWN = {"depth": 2, "metadata": 64, "reg0": 32, "reg1": 32, "reg2": 32, "in_port": 32, "garbled": 1}
ALIASES = {
    "tcp_flags_nxm": "tcp_flags", "in_port_nxm": "in_port",
    "mpls_label": "label0", "mpls_tc": "tc0", "mpls_ttl": "age0",
}  # fmt: skip

State = dict[str, Bits]


def symbolic_packet() -> State:
    """Any packet that has come from a site: every field free, up to three labels, nothing remembered."""
    free = {name: z3.BitVec(name, bits) for name, bits in {**WIDTH, **LABELS, "depth": 2}.items()}
    return free | {name: z3.BitVecVal(0, bits) for name, bits in OWN.items() if name != "depth"}


def number(value: Value) -> int:
    """A value of a match or an action as a number."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if value.count(":") == 5 and len(value) == 17 else int(ip_address(value))


# What a packet has (7.2.3.8: prerequisites), and matching (5.3).


def has(state: State, name: str) -> Truth:
    """Whether a packet has a field, and a switch can see it there."""
    bare = z3.And(state["depth"] == 0, state["garbled"] == 0)

    def kind(*types: int) -> Truth:
        return z3.And(bare, z3.Or(*(state["eth_type"] == each for each in types)))

    def upper(protocol: int, *types: int) -> Truth:
        return z3.And(kind(*types), state["ip_proto"] == protocol)

    if name in ("label0", "tc0", "age0", "mpls_bos"):
        return z3.UGT(state["depth"], 0)
    if name in ("ip_proto", "ip_dscp", "ip_frag", "nw_ttl"):
        return kind(IPV4, IPV6)
    if name.startswith("ipv4_"):
        return kind(IPV4)
    if name.startswith(("ipv6_nd", "nd_")):
        about = z3.Or(state["icmpv6_type"] == 135, state["icmpv6_type"] == 136)
        return z3.And(upper(ICMP6, IPV6), about)
    if name.startswith("ipv6_"):
        return kind(IPV6)
    if name.startswith("arp_"):
        return kind(ARP)
    if name.startswith("tcp_"):
        return upper(TCP, IPV4, IPV6)
    if name.startswith("udp_"):
        return upper(UDP, IPV4, IPV6)
    if name == "icmpv4_type":
        return upper(ICMP, IPV4)
    if name == "icmpv6_type":
        return upper(ICMP6, IPV6)
    return z3.BoolVal(True)


def shown(state: State, name: str) -> Bits:
    """A field as a look-up sees it: under labels the type is MPLS; of a fragment, ports and ICMP types are zero
    (ovs-fields(7): fragments are handled as OFPC_FRAG_NORMAL)."""
    if name == "eth_type":
        return z3.If(state["depth"] == 0, state["eth_type"], z3.BitVecVal(MPLS, 16))
    if name == "mpls_bos":
        return z3.If(state["depth"] == 1, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
    if name in ("tcp_src", "tcp_dst", "udp_src", "udp_dst", "icmpv4_type", "icmpv6_type"):
        return z3.If(state["ip_frag"] == 0, state[name], z3.BitVecVal(0, WIDTH[name]))
    return state[name]


def matches(state: State, match: Match, known: dict[str, tuple[Truth, Bits]]) -> Truth:
    """Whether a packet matches (5.3); ``known`` keeps what was worked out of its fields."""
    parts: list[Truth] = []
    for spelled, wanted in match:
        name = ALIASES.get(spelled, spelled)
        value, mask = map(number, wanted) if isinstance(wanted, tuple) else (number(wanted), -1)
        if name not in known:
            known[name] = has(state, name), shown(state, name)
        there, seen = known[name]
        parts += [there, (seen if mask == -1 else seen & mask) == value & mask]
    return z3.simplify(z3.And(*parts)) if parts else z3.BoolVal(True)


def can_meet(one: Match, other: Match) -> bool:
    """Whether two matches leave room for one packet, field by field."""
    both: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for name, wanted in (*one, *other):
        pair = tuple(map(number, wanted)) if isinstance(wanted, tuple) else (number(wanted), -1)
        both[ALIASES.get(name, name)].append(pair)  # type: ignore[arg-type]
    return all(len(each) < 2 or (each[0][0] ^ each[1][0]) & each[0][1] & each[1][1] == 0 for each in both.values())


def does(rule: FlowRule) -> tuple[object, ...]:
    """What an entry does with what it takes."""
    return rule.actions, rule.goto, rule.metadata, rule.meter


# Changing a packet (5.12).


def chosen(condition: Truth, one: State, other: State) -> State:
    """One packet or the other."""
    return {
        name: value if value.eq(other[name]) else z3.If(condition, value, other[name]) for name, value in one.items()
    }


def put(state: State, name: str, value: Bits) -> State:
    """A packet with a field overwritten, if it has the field (a tag's number: if it has a tag)."""
    there = state["vlan_vid"] != 0 if name == "vlan_vid" else has(state, name)
    return {**state, name: z3.simplify(z3.If(there, value, state[name]))}


def width(name: str) -> int:
    """How many bits a field has."""
    return {**WIDTH, **LABELS, **OWN}[name]


def copied(state: State, value: Bits, name: str, bits: int, to_bit: int) -> State:
    """The low bits of a value into a field, from ``to_bit`` up (ovs-actions(7), move and load)."""
    size = width(name)
    mask = ((1 << bits) - 1) << to_bit
    wide = z3.ZeroExt(max(0, size - value.size()), value)
    wide = z3.Extract(size - 1, 0, wide) if wide.size() > size else wide
    return put(state, name, (state[name] & ~z3.BitVecVal(mask, size)) | ((wide << to_bit) & mask))


def pushed(state: State) -> State:
    """A label on top: a copy of the one below; else its TTL is the packet's and its class the low bits of the DSCP
    (ovs-actions(7), push_mpls)."""
    is_ip = has(state, "nw_ttl")
    first = {
        "label0": z3.If(state["eth_type"] == IPV6, z3.BitVecVal(2, 20), z3.BitVecVal(0, 20)),
        "tc0": z3.If(is_ip, z3.Extract(2, 0, state["ip_dscp"]), z3.BitVecVal(0, 3)),
        "age0": z3.If(z3.And(is_ip, state["nw_ttl"] != 0), state["nw_ttl"], z3.BitVecVal(64, 8)),
    }
    moved = {f"{w}{p}": state[f"{w}{p - 1}"] for p in range(1, DEEPEST) for w in ("label", "tc", "age")}
    top = {name: z3.If(state["depth"] == 0, value, state[name]) for name, value in first.items()}
    return {**state, **moved, **top, "depth": state["depth"] + 1}


def popped(state: State, eth_type: int) -> State:
    """The top label off (5.12: pop MPLS); with the last one the type becomes what the entry says, and if that is not
    what is beneath, nobody can read it."""
    last = state["depth"] == 1
    wrong = z3.Or(
        z3.And(last, state["eth_type"] != eth_type), z3.And(z3.UGT(state["depth"], 1), z3.BoolVal(eth_type != MPLS))
    )
    lifted = {f"{w}{p}": state[f"{w}{p + 1}"] for p in range(DEEPEST - 1) for w in ("label", "tc", "age")}
    after = {
        **state,
        **lifted,
        "depth": z3.If(wrong, z3.BitVecVal(0, 2), state["depth"] - 1),
        "eth_type": z3.If(z3.Or(last, wrong), z3.BitVecVal(eth_type, 16), state["eth_type"]),
        "garbled": z3.If(wrong, z3.BitVecVal(1, 1), state["garbled"]),
    }
    return {name: z3.simplify(value) for name, value in chosen(state["depth"] == 0, state, after).items()}


# One router.

Sent = tuple[Truth, int, State]  # under what condition it leaves, by which port, as what


@dataclass
class Visit:
    """A packet's way through one router: what comes to every table, and what leaves. ``chance`` is where the
    specification leaves open which entry is taken (5.3)."""

    rules: RuleSet
    down: frozenset[int]
    arrived: int
    pending: dict[int, list[tuple[Truth, State]]] = field(default_factory=lambda: defaultdict(list))
    sent: list[Sent] = field(default_factory=list)
    chance: list[Truth] = field(default_factory=list)

    def run(self, condition: Truth, state: State) -> Visit:
        """Through all tables in turn: an entry leads to later ones only (5.1)."""
        tables: defaultdict[int, list[FlowRule]] = defaultdict(list)
        for rule in self.rules.flows:
            tables[rule.table].append(rule)
        self.pending[0].append((condition, state))
        for table in sorted(tables):
            if self.pending[table]:
                self.table(tables[table], *merged(self.pending[table]))
        return self

    def table(self, rules: list[FlowRule], condition: Truth, state: State) -> None:
        """The highest priority that matches is taken."""
        by_priority: defaultdict[int, list[tuple[Truth, FlowRule]]] = defaultdict(list)
        known: dict[str, tuple[Truth, Bits]] = {}
        for rule in rules:
            if not z3.is_false(taken := matches(state, rule.match, known)):
                by_priority[rule.priority].append((taken, rule))
        for priority in sorted(by_priority, reverse=True):
            alike = by_priority[priority]
            for place, (one, rule) in enumerate(alike):
                for other, rival in alike[:place]:
                    if does(rule) != does(rival) and can_meet(rule.match, rival.match):
                        self.chance.append(z3.And(condition, one, other))
                self.instructions(rule, z3.And(condition, one), state)
            condition = z3.simplify(z3.And(condition, z3.Not(z3.Or(*(taken for taken, _ in alike)))))

    def instructions(self, rule: FlowRule, condition: Truth, state: State) -> None:
        """An entry's actions, what it notes, where it leads (5.9). Meters let everything by."""
        condition, state = self.actions(rule.actions, condition, state)
        if rule.metadata is not None:
            value, mask = rule.metadata
            state = {**state, "metadata": (state["metadata"] & ~z3.BitVecVal(mask, 64)) | (value & mask)}
        if rule.goto is not None:
            self.pending[rule.goto].append((condition, state))

    def actions(self, actions: tuple[Action, ...], condition: Truth, state: State) -> tuple[Truth, State]:
        """Actions in turn; the condition under which the packet comes to their end, and as what."""
        for action in actions:
            condition, state = self.action(action, condition, state)
        return condition, state

    def action(self, action: Action, condition: Truth, state: State) -> tuple[Truth, State]:
        """One action."""
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
                return self.older("nw_ttl" if isinstance(action, DecTtl) else "age0", condition, state)
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

    def older(self, name: str, condition: Truth, state: State) -> tuple[Truth, State]:
        """A TTL less; at its end the packet goes no further."""
        there = has(state, name)
        alive = z3.Or(z3.Not(there), z3.UGT(state[name], 1))
        return z3.And(condition, alive), {**state, name: z3.If(there, state[name] - 1, state[name])}

    def group(self, group: GroupRule, condition: Truth, state: State) -> None:
        """The first bucket whose port is up, on a copy (5.6.1, 5.10)."""
        bucket = next((each for each in group.buckets if each.watch_port not in self.down), None)
        if bucket is not None:
            self.actions(bucket.actions, condition, state)

    def output(self, port: int, condition: Truth, state: State) -> None:
        """Out of a port, but not the one it came in by unless told so by its reserved name (7.2.5, OFPP_IN_PORT)."""
        if port == IN_PORT:
            self.sent.append((z3.And(condition, state["in_port"] == self.arrived), self.arrived, state))
        elif port != CONTROLLER:
            self.sent.append((z3.And(condition, state["in_port"] != port), port, state))


def merged(ways: list[tuple[Truth, State]]) -> tuple[Truth, State]:
    """All that comes to one place as one packet: no two of the ways are taken by the same."""
    (_, state), *others = ways
    for other, another in others:
        state = chosen(other, another, state)
    return z3.simplify(z3.Or(*(each for each, _ in ways))), {name: z3.simplify(each) for name, each in state.items()}


# The whole network.


@dataclass(frozen=True)
class Fate:
    """What becomes of any packet from one line. ``delivered`` has for each site the condition, and ``marked`` the DSCP
    then; ``lost`` is where nothing is; ``travelling`` what has not arrived after so many hops; ``chance`` where
    entries of one priority dispute. All within ``given``, what was taken for granted of the packet."""

    packet: State
    given: Truth
    delivered: Mapping[str, Truth]
    marked: Mapping[str, Bits]
    lost: Truth
    travelling: Truth
    chance: Truth

    @property
    def elsewhere(self) -> Truth:
        """What ends in a drop."""
        return z3.Not(z3.Or(self.lost, self.travelling, *self.delivered.values()))


@dataclass(frozen=True)
class Machine:
    """Switches with their rules while something has failed."""

    network: Network
    rules: Mapping[str, RuleSet]
    failures: Failures = field(default_factory=Failures)
    hops: int = 12

    def fate(self, site: str, line: int, sane: Callable[[State, bool], Truth]) -> Fate:
        """What becomes of the packets that a site sends on one of its lines; ``sane`` says which there are, on a port
        of the line's own or on the trunk."""
        packet, access = symbolic_packet(), self.network.site[site].accesses[line]
        own = self.network.access_link_ports[access.router].get((site, line))
        first = packet if own else {**packet, "vlan_vid": z3.BitVecVal(access.vlan | PRESENT, 13)}
        given = sane(packet, own is not None)
        entering = {(access.router, own or TRUNK_PORT): [(given, first)]}
        ends: defaultdict[str, list[tuple[Truth, State]]] = defaultdict(list)
        lost: list[Truth] = []
        chance: list[Truth] = []
        for _ in range(self.hops):
            leaving: defaultdict[tuple[str, int], list[tuple[Truth, State]]] = defaultdict(list)
            for (router, port), ways in entering.items():
                condition, state = merged(ways)
                if not possible(condition):
                    continue
                fresh = {name: z3.BitVecVal(0, OWN[name]) for name in ("metadata", "reg0", "reg1", "reg2")}
                fresh["in_port"] = z3.BitVecVal(port, 32)
                visit = Visit(self.rules[router], self.down(router), port).run(condition, {**state, **fresh})
                chance += visit.chance
                for sent in visit.sent:
                    self.onward(router, sent, leaving, ends, lost)
            entering = leaving
            if not entering:
                break
        delivered = {name: z3.Or(*(condition for condition, _ in ways)) for name, ways in ends.items()}
        marked = {name: merged(ways)[1]["ip_dscp"] for name, ways in ends.items()}
        rest = z3.Or(*(condition for ways in entering.values() for condition, _ in ways))
        return Fate(packet, given, delivered, marked, z3.Or(*lost), rest, z3.Or(*chance))

    def onward(
        self,
        router: str,
        sent: Sent,
        leaving: dict[tuple[str, int], list[tuple[Truth, State]]],
        ends: dict[str, list[tuple[Truth, State]]],
        lost: list[Truth],
    ) -> None:
        """Over the fibre or the line that is behind a port."""
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
        for site, tag in self.behind(router, port):
            there = z3.And(condition, state["vlan_vid"] == tag)
            ends[site].append((there, state))
            found.append(there)
        lost.append(z3.And(condition, z3.Not(z3.Or(*found))))

    def behind(self, router: str, port: int) -> Iterator[tuple[str, int]]:
        """The sites whose lines end at a port, each with the tag that tells it."""
        for site in self.network.sites:
            for line, access in enumerate(site.accesses):
                own = self.network.access_link_ports[router].get((site.id, line)) if access.router == router else None
                if own == port:
                    yield site.id, 0
                elif access.router == router and len(site.accesses) == 1 and port == TRUNK_PORT:
                    yield site.id, access.vlan | PRESENT

    def down(self, router: str) -> frozenset[int]:
        """The ports behind which something has failed."""
        failed = self.failures
        links = {
            port for link, port in self.network.ports[router].items()
            if link in failed.links or {router, self.network.link[link].other(router)} & failed.routers
        }  # fmt: skip
        lines = {port for line, port in self.network.access_link_ports[router].items() if line in failed.lines}
        return frozenset(links | lines)

    def under(self, failures: Failures) -> Machine:
        """The same switches after failures."""
        return replace(self, failures=failures)


def possible(condition: Truth, *more: Truth) -> bool:
    """Whether some packet fulfils conditions."""
    if z3.is_false(condition):
        return False
    solver = z3.SolverFor("QF_BV")
    solver.add(condition, *more)
    return bool(solver.check() == z3.sat)
