"""A witness in Scapy is the packet that it represents: dissected again, it has the same fields."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.layers import inet, inet6, l2, sctp
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6Unknown, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.verification.concrete.packet import Label, Packet
from helsewan.verification.reports.witness import expression, in_words, scapy_packet

MARK = b"helsewan"


def number(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


def transport(version: int) -> st.SearchStrategy[dict[str, int]]:
    def ports(name: str, protocol: int, **more: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, int]]:
        return st.fixed_dictionaries(
            {"ip_proto": st.just(protocol), f"{name}_src": number(16), f"{name}_dst": number(16), **more}
        )

    icmp, protocol = ("icmpv4", 1) if version == 4 else ("icmpv6", 58)
    kinds = st.sampled_from([0, 3, 8, 11] if version == 4 else [1, 3, 150])
    answers = {f"{icmp}_type": kinds, f"{icmp}_code": number(8)}
    return st.one_of(
        ports("tcp", 6, tcp_flags=number(8)),
        ports("udp", 17),
        ports("sctp", 132),
        st.fixed_dictionaries({"ip_proto": st.just(protocol), **answers}),
        st.fixed_dictionaries({"ip_proto": st.sampled_from([47, 50, 89])}),
    )


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    ends = {"eth_src": draw(number(48)), "eth_dst": draw(number(48))}
    vlan = draw(st.none() | number(12))
    tag = {} if vlan is None else {"vlan_vid": vlan | VLAN_PRESENT, "vlan_pcp": draw(number(3))}
    labels = draw(st.lists(st.builds(Label, number(20), number(3), number(8)), max_size=3))
    version = draw(st.sampled_from([4, 6]))
    if not labels and draw(st.integers(0, 4)) == 0:
        arp = {"arp_op": draw(number(16)), "arp_sha": draw(number(48)), "arp_tha": draw(number(48))}
        return Packet.of(eth_type=0x0806, **ends, **tag, **arp, arp_spa=draw(number(32)), arp_tpa=draw(number(32)))
    width = 32 if version == 4 else 128
    fields = {f"ipv{version}_src": draw(number(width)), f"ipv{version}_dst": draw(number(width))}
    fields |= {"ip_dscp": draw(number(6)), "ip_ecn": draw(number(2)), "nw_ttl": draw(number(8)), "ip_frag": 0}
    fields |= draw(transport(version))
    fields["ip_frag"] = draw(st.sampled_from([0, 0, 1, 3]))
    if fields["ip_frag"] == 3:
        fields = {name: value for name, value in fields.items() if name.startswith("ip") or name == "nw_ttl"}
    return Packet.of(*labels, eth_type=0x0800 if version == 4 else 0x86DD, **ends, **tag, **fields)


def dissected(raw: bytes) -> Packet:
    """The fields of a frame by Scapy's dissection."""
    ether = Ether(raw)
    fields: dict[str, Any] = {"eth_src": ether.src, "eth_dst": ether.dst}
    layer, kind = ether.payload, ether.type
    if isinstance(layer, Dot1Q):
        fields |= {"vlan_vid": layer.vlan | VLAN_PRESENT, "vlan_pcp": layer.prio}
        layer, kind = layer.payload, layer.type
    labels = []
    while isinstance(layer, MPLS):
        labels.append(Label(layer.label, layer.cos, layer.ttl))
        whole = bytes(layer.payload)
        beneath = IP if whole[0] >> 4 == 4 else IPv6
        kind = 0x0800 if beneath is IP else 0x86DD
        layer = beneath(whole) if layer.s else layer.payload
    if isinstance(layer, ARP):
        arp = {"arp_op": layer.op, "arp_sha": layer.hwsrc, "arp_tha": layer.hwdst}
        return Packet.of(eth_type=kind, **fields, **arp, arp_spa=layer.psrc, arp_tpa=layer.pdst)
    return Packet.of(*labels, eth_type=kind, **fields, **(_ip(layer) if isinstance(layer, IP) else _ipv6(layer)))


def _ip(layer: Any) -> dict[str, Any]:
    fragment = 3 if layer.frag else 1 if layer.flags.MF else 0
    fields = {"ipv4_src": int(IPv4Address(layer.src)), "ipv4_dst": int(IPv4Address(layer.dst)), "nw_ttl": layer.ttl}
    fields |= {"ip_dscp": layer.tos >> 2, "ip_ecn": layer.tos & 3, "ip_proto": layer.proto, "ip_frag": fragment}
    return fields if fragment == 3 else fields | _upper(layer.payload, layer.proto)


def _ipv6(layer: Any) -> dict[str, Any]:
    fields = {"ipv6_src": int(IPv6Address(layer.src)), "ipv6_dst": int(IPv6Address(layer.dst)), "nw_ttl": layer.hlim}
    fields |= {"ip_dscp": layer.tc >> 2, "ip_ecn": layer.tc & 3, "ip_proto": layer.nh, "ip_frag": 0}
    payload = layer.payload
    if isinstance(payload, IPv6ExtHdrFragment):
        fields |= {"ip_proto": payload.nh, "ip_frag": 3 if payload.offset else 1}
        payload = payload.payload
    return fields if fields["ip_frag"] == 3 else fields | _upper(payload, fields["ip_proto"])


def _upper(layer: Any, protocol: int) -> dict[str, Any]:
    if isinstance(layer, TCP):
        return {"tcp_src": layer.sport, "tcp_dst": layer.dport, "tcp_flags": int(layer.flags)}
    if isinstance(layer, SCTP):
        return {"sctp_src": layer.sport, "sctp_dst": layer.dport}
    if isinstance(layer, UDP):
        return {"udp_src": layer.sport, "udp_dst": layer.dport}
    if isinstance(layer, ICMP):
        return {"icmpv4_type": layer.type, "icmpv4_code": layer.code}
    raw = bytes(layer)
    return {"icmpv6_type": raw[0], "icmpv6_code": raw[1]} if protocol == 58 else {}


@given(packets())
@settings(max_examples=400, deadline=None)
def test_a_packet_dissected_again_is_the_same(packet: Packet) -> None:
    assert dissected(bytes(scapy_packet(packet, MARK))) == packet


@given(packets())
@settings(max_examples=60, deadline=None)
def test_the_expression_makes_the_same_packet(packet: Packet) -> None:
    """As pasted into Scapy's own shell."""
    known = {
        **vars(l2),
        **vars(inet),
        **vars(inet6),
        **vars(sctp),
        "Raw": Raw,
        "MPLS": MPLS,
    }  # as after load_contrib("mpls")
    assert bytes(eval(expression(packet, MARK), known)) == bytes(scapy_packet(packet, MARK))


def test_neighbour_discovery_has_its_target_and_address() -> None:
    about = {"eth_type": 0x86DD, "ip_proto": 58, "nw_ttl": 255, "ipv6_src": "fe80::2", "ipv6_dst": "ff02::1:ff00:1"}
    solicitation = scapy_packet(
        Packet.of(**about, icmpv6_type=135, ipv6_nd_target="fe80::1", ipv6_nd_sll="02:51:00:00:00:01")
    )
    again = Ether(bytes(solicitation))
    assert again[ICMPv6ND_NS].tgt == "fe80::1" and again.lastlayer().lladdr == "02:51:00:00:00:01"
    advertisement = scapy_packet(
        Packet.of(**about, icmpv6_type=136, ipv6_nd_target="fe80::1", ipv6_nd_tll="02:70:00:00:00:01")
    )
    again = Ether(bytes(advertisement))
    assert again[ICMPv6ND_NA].tgt == "fe80::1" and again.lastlayer().lladdr == "02:70:00:00:00:01"
    assert ICMPv6Unknown not in again


V4, V6 = {"eth_type": 0x0800, "ipv4_src": "10.0.0.2", "ipv4_dst": "10.0.1.2"}, {"eth_type": 0x86DD, "ipv6_dst": "::2"}
WORDS = {
    "TCP 10.0.0.2:40000 → 10.0.1.2:443, DSCP EF": Packet.of(**V4, ip_proto=6, tcp_src=40000, tcp_dst=443, ip_dscp=46),
    "SCTP 10.0.0.2:1 → 10.0.1.2:36412, DSCP BE": Packet.of(**V4, ip_proto=132, sctp_src=1, sctp_dst=36412, ip_dscp=0),
    "UDP [::]:1 → [::2]:2, DSCP 7, a first fragment, label 16 (TC 5), label 1001 (TC 5)": Packet.of(
        Label(16, 5, 64), Label(1001, 5, 64), **V6, ip_proto=17, udp_src=1, udp_dst=2, ip_dscp=7, ip_frag=1
    ),
    "ARP who has 10.0.0.1 from 10.0.0.2": Packet.of(eth_type=0x0806, arp_op=1, arp_spa="10.0.0.2", arp_tpa="10.0.0.1"),
    "ICMP type 8 10.0.0.2 → 10.0.1.2, VLAN 5": Packet.of(**V4, ip_proto=1, icmpv4_type=8, vlan_vid=0x1005),
    "IP protocol 89 10.0.0.2 → 10.0.1.2, a later fragment": Packet.of(**V4, ip_proto=89, ip_frag=3),
    "EtherType 0x88cc": Packet.of(eth_type=0x88CC),
}


@pytest.mark.parametrize("words", WORDS)
def test_a_packet_in_words(words: str) -> None:
    assert in_words(WORDS[words]) == words
