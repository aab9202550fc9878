"""Conversion of packets between Z3 models and the interpreter, and random packets near the boundaries of matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

import z3
from oracle_state import ALIASES, DEEPEST, ICMP, ICMP6, LABELS, PRESENT, SCTP, TCP, UDP, WIDTH, State, Truth, number

from helsewan.controller.openflow.entries import ARP, IPV4, IPV6, RuleSet
from helsewan.verification.concrete.packet import Label, Packet

_BASE = "eth_src", "eth_dst", "eth_type", "frame_bytes"
_IP = "ip_proto", "ip_dscp", "ip_frag", "nw_ttl"
_BENEATH = {
    IPV4: ("ipv4_src", "ipv4_dst", *_IP),
    IPV6: ("ipv6_src", "ipv6_dst", *_IP),
    ARP: ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"),
}
_ABOVE = {
    (IPV4, TCP): ("tcp_src", "tcp_dst", "tcp_flags"), (IPV6, TCP): ("tcp_src", "tcp_dst", "tcp_flags"),
    (IPV4, UDP): ("udp_src", "udp_dst"), (IPV6, UDP): ("udp_src", "udp_dst"),
    (IPV4, SCTP): ("sctp_src", "sctp_dst"), (IPV6, SCTP): ("sctp_src", "sctp_dst"),
    (IPV4, ICMP): ("icmpv4_type",), (IPV6, ICMP6): ("icmpv6_type",),
}  # fmt: skip
_ASKING = "ipv6_nd_target", "ipv6_nd_tll", "nd_reserved", "nd_options_type"


def well_formed(packet: State, own_port: bool) -> Truth:
    """Conditions that hold for every received frame: the VLAN is absent or has its present bit, a fragment is a first
    or a later one. On the trunk the tag is the access link's."""
    tag = packet["vlan_vid"]
    there = z3.Or(tag == 0, tag & PRESENT != 0) if own_port else z3.BoolVal(True)
    no_mpls = z3.And(packet["eth_type"] != 0x8847, packet["eth_type"] != 0x8100)
    return z3.And(there, packet["ip_frag"] != 2, no_mpls)


def as_packet(values: Mapping[str, int]) -> Packet:
    """A packet with those fields of ``values`` that its types have."""
    eth_type = values["eth_type"]
    names = [*_BASE, *_BENEATH.get(eth_type, ())]
    if eth_type in (IPV4, IPV6):
        names += _ABOVE.get((eth_type, values["ip_proto"]), ())
    if (eth_type, values.get("ip_proto")) == (IPV6, ICMP6) and values["icmpv6_type"] in (135, 136):
        names += _ASKING
    fields = {name: values[name] for name in names}
    if values["vlan_vid"]:
        fields["vlan_vid"] = values["vlan_vid"]
    labels = (Label(values[f"label{i}"], values[f"tc{i}"], values[f"age{i}"]) for i in range(values["depth"]))
    return Packet(fields, tuple(labels))


def of_model(model: z3.ModelRef, packet: State) -> dict[str, int]:
    """The values of all fields in a model."""
    names = (*WIDTH, *LABELS, "depth")
    return {name: model.eval(packet[name], model_completion=True).as_long() for name in names}


def model_of(values: Mapping[str, int], packet: State) -> z3.ModelRef:
    """A model with exactly these values."""
    solver = z3.SolverFor("QF_BV")
    solver.add(*(packet[name] == value for name, value in values.items()))
    assert solver.check() == z3.sat
    return solver.model()


def boundaries(rules: Mapping[str, RuleSet]) -> dict[str, list[int]]:
    """Per field, the values at and next to the boundaries of every match."""
    found: dict[str, set[int]] = {}
    for each in rules.values():
        for rule in each.flows:
            for spelled, wanted in rule.match:
                name = ALIASES.get(spelled, spelled)
                if name in WIDTH or name in LABELS:
                    top = (1 << {**WIDTH, **LABELS}[name]) - 1
                    value, mask = map(number, wanted) if isinstance(wanted, tuple) else (number(wanted), top)
                    last = value | ~mask & top
                    found.setdefault(name, set()).update({value, last, max(value - 1, 0), min(last + 1, top)})
    return {name: sorted(values) for name, values in found.items()}


def random_packets(
    known: Mapping[str, list[int]], like: Mapping[str, int], rng: Random, count: int
) -> Iterator[dict[str, int]]:
    """Random packets that differ from ``like`` in a few fields, whose values are at boundaries of matches or
    arbitrary."""
    names = [name for name in (*WIDTH, *LABELS) if name not in ("vlan_vid", "frame_bytes")]
    for _ in range(count):
        values = dict(like)
        for name in rng.sample(names, rng.randint(1, 4)):
            top = (1 << {**WIDTH, **LABELS}[name]) - 1
            values[name] = rng.choice(known[name]) if name in known and rng.random() < 0.9 else rng.randint(0, top)
        values["depth"] = like["depth"] if rng.random() < 0.9 else rng.randint(0, DEEPEST)
        if values["eth_type"] not in (0x8847, 0x8100) and values["ip_frag"] != 2:
            yield values
