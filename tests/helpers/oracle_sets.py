"""The verifier's packet sets (binary decision diagrams) as Z3 constraints on the bits of a packet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import z3
from oracle_state import DEEPEST, SCTP, UDP, State
from z3 import BitVecRef as Bits
from z3 import BoolRef as Truth

from helsewan.controller.openflow.entries import ARP, IPV6, MPLS

Diagram = Any  # dd has no types
ADDRESS_BITS = 128


def parts_of(packet: State, out: Bits, mark: Bits) -> dict[str, Bits]:
    """The verifier's variables as functions of a packet, of where it ends (``out``) and of its DSCP there
    (``mark``)."""
    labelled = z3.UGT(packet["depth"], 0)
    six, arp = packet["eth_type"] == IPV6, packet["eth_type"] == ARP

    def address(ipv4: str, ipv6: str, asked: str) -> Bits:
        short = z3.If(arp, packet[asked], packet[ipv4])
        return z3.If(six, packet[ipv6], z3.Concat(short, z3.BitVecVal(0, ADDRESS_BITS - 32)))

    def port(side: str) -> Bits:
        others = z3.If(packet["ip_proto"] == SCTP, packet[f"sctp_{side}"], packet[f"tcp_{side}"])
        return z3.If(packet["ip_proto"] == UDP, packet[f"udp_{side}"], others)

    same = ("vlan_vid", "ip_frag", "ip_proto", "tcp_flags", "ip_dscp", "arp_op", "eth_src", "eth_dst")
    return {
        **{name: packet[name] for name in same},
        **{f"{what}{place}": packet[f"{what}{place}"] for place in range(DEEPEST) for what in ("label", "tc")},
        "eth_type": z3.If(labelled, z3.BitVecVal(MPLS, 16), packet["eth_type"]),
        "inner_type": packet["eth_type"],
        "labels": packet["depth"],
        "source": address("ipv4_src", "ipv6_src", "arp_spa"),
        "destination": address("ipv4_dst", "ipv6_dst", "arp_tpa"),
        "tp_src": port("src"),
        "tp_dst": port("dst"),
        "icmp_type": z3.If(six, packet["icmpv6_type"], packet["icmpv4_type"]),
        "icmp_code": z3.BitVecVal(0, 8),
        "nd_target": packet["ipv6_nd_target"],
        "frame_bytes": z3.Extract(15, 0, packet["frame_bytes"]),
        "out": out,
        "mark": mark,
    }


def as_constraint(bdd: Diagram, found: Diagram, parts: dict[str, Bits]) -> Truth:
    """A packet set as a condition. BDD variables are called ``part.bit``, bit 0 being the most significant one."""
    known: dict[int, Truth] = {}
    bit = _bits(parts)

    def of(node: Diagram) -> Truth:
        if node == bdd.true or node == bdd.false:
            return z3.BoolVal(node == bdd.true)
        if node.negated:
            return z3.Not(of(~node))
        if int(node) not in known:
            known[int(node)] = z3.If(bit(node.var), of(node.high), of(node.low))
        return known[int(node)]

    return of(found)


def _bits(parts: dict[str, Bits]) -> Callable[[str], Truth]:
    def bit(name: str) -> Truth:
        part, _, place = name.partition(".")
        at = parts[part].size() - 1 - int(place)
        return z3.Extract(at, at, parts[part]) == 1

    return bit
