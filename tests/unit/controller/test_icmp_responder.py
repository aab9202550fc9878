"""ICMP errors of routers: for which packets they are sent, and that they reach the sender and no other site."""

from __future__ import annotations

import struct
from functools import cache
from itertools import permutations
from typing import Any

import pytest
from controller_plan import SHORT_MTU, small_plan
from controller_switch import TCP, UDP, Fabric, Fate
from ip_packets import ipv4, ipv6

from helsewan.controller.openflow.entries import MPLS
from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IP6, IpVersion
from helsewan.controller.rules.mtu import MTU_REGISTER
from helsewan.controller.rules.paths import Failures
from helsewan.controller.rules.punt import Punt
from helsewan.controller.slowpath.icmp import IcmpError
from helsewan.controller.slowpath.icmp_responder import IcmpResponder, PacketOut
from helsewan.controller.update.reconciler import Reconciler
from helsewan.topology.model import Router, Site, router_address4, router_address6
from helsewan.verification.concrete.fabric import End
from helsewan.verification.concrete.packet import Packet

PLAN = small_plan()
RESPONDER = IcmpResponder(PLAN)
VOICE = {"ip_proto": UDP, "udp_src": 9, "udp_dst": 20000}
DONT_FRAGMENT = 0x4000
IP_VERSION = pytest.mark.parametrize("family", FAMILIES, ids=("IPv4", "IPv6"))
ETHERNET = 14


@cache
def fabric() -> Fabric:
    """The small network with its rules installed."""
    reconciler = Reconciler(PLAN)
    return Fabric.of(PLAN, {router: reconciler.target(router) for router in PLAN.network.router})


def address(site: Site | str, family: IpVersion) -> str:
    """The address of a site in an IP version."""
    site = PLAN.network.site[site] if isinstance(site, str) else site
    return str(site.address4 if family is IP4 else site.address6)


def own_address(router: Router, family: IpVersion) -> bytes:
    """The source address of a router's errors."""
    return router_address4(router).packed if family is IP4 else router_address6(router).packed


def sent(source: str, target: str, family: IpVersion, **more: Any) -> Fate:
    """The result of a voice packet from one site to another."""
    ends = {family.source: address(source, family), family.destination: address(target, family)}
    return fabric().send(source, eth_type=family.eth_type, **ends, **VOICE, **more)


def punted(fate: Fate, family: IpVersion = IP4, *, fragment: int = DONT_FRAGMENT) -> Punt:
    """A packet as a switch punts it."""
    packet, notes = fate.handed_up.packet, fate.handed_up.registers
    entries = b""
    for number, label in enumerate(packet.labels, start=1):
        bottom = number == len(packet.labels)
        entries += struct.pack("!I", label.label << 12 | label.tc << 9 | bottom << 8 | label.ttl)
    ends = (
        packet.fields[name].to_bytes(family.address_bits // 8, "big") for name in (family.source, family.destination)
    )
    if family is IP4:
        held = ipv4(*(".".join(map(str, end)) for end in ends), fragment=fragment, body=bytes(8))
    else:
        held = ipv6(*(end.hex(":", -2) for end in ends), body=bytes(8))
    frame = bytes(12) + (MPLS if entries else family.eth_type).to_bytes(2, "big") + entries + held
    return Punt(
        fate.router, fate.handed_up.expired, fate.rule.cookie, notes["metadata"], frame, notes.get(MTU_REGISTER, 0)
    )


def delivered(answer: PacketOut) -> Fate:
    """The result of an error message; it has the header fields that rules match."""
    family, ip = (IP4 if answer.frame[12:14] == b"\x08\x00" else IP6), answer.frame[ETHERNET:]
    ends = (12, 16) if family is IP4 else (8, 24)
    size = family.address_bits // 8
    source, destination = (int.from_bytes(ip[offset : offset + size], "big") for offset in ends)
    about = {"ip_dscp": ip[1] >> 2, "nw_ttl": ip[8]}
    if family is IP6:
        about = {"ip_dscp": int.from_bytes(ip[:2], "big") >> 6 & 63, "nw_ttl": ip[7]}
    header = {"eth_src": 0, "eth_dst": 0, "eth_type": family.eth_type, family.source: source}
    return fabric().inject(
        answer.router, Packet.of(**header, **{family.destination: destination}, **about), answer.actions
    )


@IP_VERSION
def test_every_hop_sends_an_error_to_the_sender_alone(family: IpVersion) -> None:
    heard = 0
    for source, target in permutations(PLAN.network.site.values(), 2):
        whole = sent(source.id, target.id, family)
        if whole.vlan is None:
            continue
        for ttl, router in enumerate(whole.routers, start=1):
            fate = sent(source.id, target.id, family, nw_ttl=ttl)
            assert (fate.router, fate.vlan) == (router, None)
            answer = RESPONDER.respond(punted(fate, family))
            assert answer is not None and answer.router == router
            begin, size = (26, 4) if family is IP4 else (22, 16)
            assert answer.frame[begin : begin + size] == own_address(PLAN.network.router[router], family)
            back = delivered(answer)
            assert (back.router, back.vlan) == (source.homing[0], source.accesses[0].vlan)
            assert all(traffic_class == 6 for stack in back.labels for _, traffic_class in stack)
            heard += 1
    assert heard >= 10


@IP_VERSION
def test_each_router_decrements_the_ttl(family: IpVersion) -> None:
    for target, routers in (("bergen-gp", 2), ("trondheim-gp", 1)):
        fate = sent("st-olav", target, family, nw_ttl=17)
        assert len(fate.routers) == routers and fate.packet.fields["nw_ttl"] == 17 - routers


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (cookie(Purpose.DROP, Drop.NO_ROUTE), IcmpError.NO_ROUTE),
        (cookie(Purpose.DROP, Drop.NO_PATH), IcmpError.NO_PATH),
        (cookie(Purpose.ROUTE, 3), IcmpError.NO_PATH),
        (cookie(Purpose.DROP, Drop.SPOOFED), None),
        (cookie(Purpose.DROP, 999), None),
        (cookie(Purpose.ACCESS_LINK, 1), None),
        (0, None),
        (2**64 - 1, None),
    ],
)
def test_cookies_determine_the_error(number: int, error: IcmpError | None) -> None:
    assert Punt("bodo", False, number, 0, b"").error is error


@IP_VERSION
def test_error_about_an_unknown_destination_stays_in_the_senders_vpn(family: IpVersion) -> None:
    fate = sent("bodo-gp", "st-olav", family)
    assert fate.dropped_for == Drop.NO_ROUTE
    answer = RESPONDER.respond(punted(fate, family))
    assert answer is not None
    assert kind_and_code(answer) == ((3, 0) if family is IP4 else (1, 0))
    assert delivered(answer).vlan == PLAN.network.site["bodo-gp"].accesses[0].vlan


def kind_and_code(answer: PacketOut) -> tuple[int, int]:
    """ICMP type and code of an error message."""
    offset = ETHERNET + (20 if answer.frame[12:14] == b"\x08\x00" else 40)
    return answer.frame[offset], answer.frame[offset + 1]


@IP_VERSION
def test_without_a_path_the_first_router_sends_the_error(family: IpVersion) -> None:
    """Tromso and Bodo are partitioned from the others, and the controller has installed the rules for it."""
    reconciler = Reconciler(PLAN)
    cut = Failures(frozenset({"trondheim-bodo", "tromso-oslo2"}))
    rules = reconciler.current.with_paths(cut)
    partitioned = Fabric.of(PLAN, {router: rules.rules(router) for router in PLAN.network.router})
    ends = {family.source: address("broker", family), family.destination: address("bodo-gp", family)}
    reply = {"ip_proto": TCP, "tcp_src": 443, "tcp_dst": 40000, "tcp_flags": 0x12}
    fate = partitioned.send("broker", eth_type=family.eth_type, **ends, **reply)
    assert (fate.router, fate.walk.end) == ("oslo1", End.DROPPED)
    answer = RESPONDER.respond(punted(fate, family))
    assert answer is not None
    assert kind_and_code(answer) == ((3, 1) if family is IP4 else (1, 3))
    quoted = ETHERNET + (28 if family is IP4 else 48)
    assert answer.frame[quoted:] == punted(fate, family).frame[ETHERNET + 4 :], (
        "quotes a label that the sender did not send"
    )
    assert delivered(answer).vlan == PLAN.network.site["broker"].accesses[0].vlan


@IP_VERSION
def test_error_about_a_packet_too_long_contains_the_mtu_of_the_access_link(family: IpVersion) -> None:
    frame_bytes = ETHERNET + SHORT_MTU
    assert sent("unn", "bodo-gp", family, frame_bytes=frame_bytes).vlan is not None
    fate = sent("unn", "bodo-gp", family, frame_bytes=frame_bytes + 1)
    assert fate.dropped_for == Drop.TOO_LONG
    answer = RESPONDER.respond(punted(fate, family))
    assert answer is not None and answer.router == "bodo"
    assert kind_and_code(answer) == ((3, 4) if family is IP4 else (2, 0))
    mtu = answer.frame[ETHERNET + 26 : ETHERNET + 28] if family is IP4 else answer.frame[ETHERNET + 44 : ETHERNET + 48]
    assert int.from_bytes(mtu, "big") == SHORT_MTU
    assert delivered(answer).vlan == PLAN.network.site["unn"].accesses[0].vlan
    without_df = RESPONDER.respond(punted(fate, family, fragment=0))
    assert (without_df is None) is (family is IP4)
    # If the TTL expires as well, the error is about that.
    assert sent("unn", "bodo-gp", family, frame_bytes=1514, nw_ttl=2).dropped_for is None


@IP_VERSION
def test_no_error_without_a_known_sender(family: IpVersion) -> None:
    fate = sent("bodo-gp", "st-olav", family)
    known = punted(fate, family)
    unknown_sender = bytes(12) + b"\x08\x00" + ipv4("192.0.2.1", "10.1.0.2")
    if family is IP6:
        unknown_sender = bytes(12) + b"\x86\xdd" + ipv6("2001:db8::1", "fd00:0:0:1::2")
    for punt in (
        Punt("bodo", False, known.cookie, 0, known.frame),  # of no VPN
        Punt("bodo", False, known.cookie, 99, known.frame),  # of a VPN that does not exist
        Punt("bodo", False, known.cookie, known.metadata, unknown_sender),
        Punt("bodo", False, known.cookie, known.metadata, known.frame[:30]),
    ):
        assert RESPONDER.respond(punt) is None
