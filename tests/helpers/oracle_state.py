"""A packet as Z3 bit vectors, and OpenFlow 1.3.5's rules for matching and rewriting it. See `oracle_executor`."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address

import z3
from z3 import BitVecRef as Bits
from z3 import BoolRef as Truth

from helsewan.controller.openflow.entries import (
    ARP,
    IPV4,
    IPV6,
    MPLS,
    FlowRule,
    Match,
    Value,
)

PRESENT = 0x1000  # OFPVID_PRESENT (7.2.3.7)
TCP, UDP, SCTP, ICMP, ICMP6 = 6, 17, 132, 1, 58
DEEPEST = 3  # labels that Open vSwitch keeps
WIDTH = {
    "eth_src": 48, "eth_dst": 48, "eth_type": 16, "vlan_vid": 13,
    "ip_proto": 8, "ip_dscp": 6, "ip_frag": 2, "nw_ttl": 8,
    "ipv4_src": 32, "ipv4_dst": 32, "ipv6_src": 128, "ipv6_dst": 128,
    "tcp_src": 16, "tcp_dst": 16, "tcp_flags": 12, "udp_src": 16, "udp_dst": 16, "sctp_src": 16, "sctp_dst": 16,
    "icmpv4_type": 8, "icmpv6_type": 8,
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
    """Any packet from a site: all fields free, up to three labels, metadata and registers zero."""
    free = {name: z3.BitVec(name, bits) for name, bits in {**WIDTH, **LABELS, "depth": 2}.items()}
    return free | {name: z3.BitVecVal(0, bits) for name, bits in OWN.items() if name != "depth"}


def number(value: Value) -> int:
    """A value of a match or an action as an integer."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if value.count(":") == 5 and len(value) == 17 else int(ip_address(value))


# What a packet has (7.2.3.8: prerequisites), and matching (5.3).


def has(state: State, name: str) -> Truth:
    """Whether a packet has a field that the switch can read."""
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
    if name.startswith("sctp_"):
        return upper(SCTP, IPV4, IPV6)
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
    if name in ("tcp_src", "tcp_dst", "udp_src", "udp_dst", "sctp_src", "sctp_dst", "icmpv4_type", "icmpv6_type"):
        return z3.If(state["ip_frag"] == 0, state[name], z3.BitVecVal(0, WIDTH[name]))
    return state[name]


def matches(state: State, match: Match, known: dict[str, tuple[Truth, Bits]]) -> Truth:
    """Whether a packet matches (5.3); ``known`` caches conditions on its fields."""
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
    """Whether a packet can match both, judged field by field."""
    both: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for name, wanted in (*one, *other):
        pair = tuple(map(number, wanted)) if isinstance(wanted, tuple) else (number(wanted), -1)
        both[ALIASES.get(name, name)].append(pair)  # type: ignore[arg-type]
    return all(len(each) < 2 or (each[0][0] ^ each[1][0]) & each[0][1] & each[1][1] == 0 for each in both.values())


def instructions(rule: FlowRule) -> tuple[object, ...]:
    """The instructions of an entry."""
    return rule.actions, rule.goto, rule.metadata, rule.meter


# Changing a packet (5.12).


def chosen(condition: Truth, one: State, other: State) -> State:
    """``one`` where the condition holds, else ``other``."""
    return {
        name: value if value.eq(other[name]) else z3.If(condition, value, other[name]) for name, value in one.items()
    }


def put(state: State, name: str, value: Bits) -> State:
    """The packet with a field overwritten, if it has it (the VLAN: if it is tagged)."""
    there = state["vlan_vid"] != 0 if name == "vlan_vid" else has(state, name)
    return {**state, name: z3.simplify(z3.If(there, value, state[name]))}


def width(name: str) -> int:
    """The width of a field in bits."""
    return {**WIDTH, **LABELS, **OWN}[name]


def copied(state: State, value: Bits, name: str, bits: int, to_bit: int) -> State:
    """Copies the low bits of a value into a field, starting at ``to_bit`` (ovs-actions(7), move and load)."""
    size = width(name)
    mask = ((1 << bits) - 1) << to_bit
    wide = z3.ZeroExt(max(0, size - value.size()), value)
    wide = z3.Extract(size - 1, 0, wide) if wide.size() > size else wide
    return put(state, name, (state[name] & ~z3.BitVecVal(mask, size)) | ((wide << to_bit) & mask))


def pushed(state: State) -> State:
    """Pushes a label: a copy of the one below; without one, its TTL is the packet's and its TC the low bits of the DSCP
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
    """Pops the top label (5.12: pop MPLS). With the last one the EtherType becomes the action's; if that is not the
    type of the payload, the payload cannot be read."""
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


def merged(alternatives: list[tuple[Truth, State]]) -> tuple[Truth, State]:
    """Merges alternatives into one packet; their conditions exclude each other."""
    (_, state), *others = alternatives
    for other, another in others:
        state = chosen(other, another, state)
    condition = z3.simplify(z3.Or(*(each for each, _ in alternatives)))
    return condition, {name: z3.simplify(each) for name, each in state.items()}


def possible(condition: Truth, *more: Truth) -> bool:
    """Whether the conditions are satisfiable."""
    if z3.is_false(condition):
        return False
    solver = z3.SolverFor("QF_BV")
    solver.add(condition, *more)
    return bool(solver.check() == z3.sat)
