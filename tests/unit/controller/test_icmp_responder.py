"""Routers' answers: about which packets, and that each finds its way to the sender and to nobody else."""

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
    """The small network, programmed."""
    reconciler = Reconciler(PLAN)
    return Fabric.of(PLAN, {router: reconciler.target(router) for router in PLAN.network.router})


def address(site: Site | str, family: IpVersion) -> str:
    """A site's address."""
    site = PLAN.network.site[site] if isinstance(site, str) else site
    return str(site.address4 if family is IP4 else site.address6)


def own_address(router: Router, family: IpVersion) -> bytes:
    """The address that a router speaks from."""
    return router_address4(router).packed if family is IP4 else router_address6(router).packed


def sent(source: str, target: str, family: IpVersion, **more: Any) -> Fate:
    """A call from one site to another."""
    ends = {family.source: address(source, family), family.destination: address(target, family)}
    return fabric().send(source, eth_type=family.eth_type, **ends, **VOICE, **more)


def handed_up(fate: Fate, family: IpVersion = IP4, *, fragment: int = DONT_FRAGMENT) -> Punt:
    """A packet as a switch hands it up."""
    packet, notes = fate.handed_up.packet, fate.handed_up.notes
    entries = b""
    for place, label in enumerate(packet.labels, start=1):
        bottom = place == len(packet.labels)
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
    """What becomes of an answer; its headers as the rules see them."""
    family, ip = (IP4 if answer.frame[12:14] == b"\x08\x00" else IP6), answer.frame[ETHERNET:]
    ends = (12, 16) if family is IP4 else (8, 24)
    size = family.address_bits // 8
    source, destination = (int.from_bytes(ip[place : place + size], "big") for place in ends)
    about = {"ip_dscp": ip[1] >> 2, "nw_ttl": ip[8]}
    if family is IP6:
        about = {"ip_dscp": int.from_bytes(ip[:2], "big") >> 6 & 63, "nw_ttl": ip[7]}
    header = {"eth_src": 0, "eth_dst": 0, "eth_type": family.eth_type, family.source: source}
    return fabric().inject(
        answer.router, Packet.of(**header, **{family.destination: destination}, **about), answer.actions
    )


@IP_VERSION
def test_every_hop_answers_and_the_sender_alone_is_told(family: IpVersion) -> None:
    heard = 0
    for source, target in permutations(PLAN.network.site.values(), 2):
        whole = sent(source.id, target.id, family)
        if whole.vlan is None:
            continue
        for ttl, router in enumerate(whole.routers, start=1):
            fate = sent(source.id, target.id, family, nw_ttl=ttl)
            assert (fate.router, fate.vlan) == (router, None)
            answer = RESPONDER.respond(handed_up(fate, family))
            assert answer is not None and answer.router == router
            begin, size = (26, 4) if family is IP4 else (22, 16)
            assert answer.frame[begin : begin + size] == own_address(PLAN.network.router[router], family)
            back = delivered(answer)
            assert (back.router, back.vlan) == (source.homing[0], source.accesses[0].vlan)
            assert all(traffic_class == 6 for stack in back.labels for _, traffic_class in stack)
            heard += 1
    assert heard >= 10


@IP_VERSION
def test_a_packet_arrives_with_what_the_routers_left_of_its_ttl(family: IpVersion) -> None:
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
def test_rules_say_what_the_trouble_is(number: int, error: IcmpError | None) -> None:
    assert Punt("bodo", False, number, 0, b"").error is error


@IP_VERSION
def test_unknown_destination_is_answered_in_the_senders_vpn(family: IpVersion) -> None:
    fate = sent("bodo-gp", "st-olav", family)
    assert fate.dropped_for == Drop.NO_ROUTE
    answer = RESPONDER.respond(handed_up(fate, family))
    assert answer is not None
    assert kind_and_code(answer) == ((3, 0) if family is IP4 else (1, 0))
    assert delivered(answer).vlan == PLAN.network.site["bodo-gp"].accesses[0].vlan


def kind_and_code(answer: PacketOut) -> tuple[int, int]:
    """The ICMP error that an answer is."""
    place = ETHERNET + (20 if answer.frame[12:14] == b"\x08\x00" else 40)
    return answer.frame[place], answer.frame[place + 1]


@IP_VERSION
def test_where_nothing_leads_now_the_sender_is_told_by_its_first_router(family: IpVersion) -> None:
    """Tromso and Bodo are cut off, and the controller knows."""
    reconciler = Reconciler(PLAN)
    cut = Failures(frozenset({"trondheim-bodo", "tromso-oslo2"}))
    rules = reconciler.current.with_paths(cut)
    parted = Fabric.of(PLAN, {router: rules.rules(router) for router in PLAN.network.router})
    ends = {family.source: address("broker", family), family.destination: address("bodo-gp", family)}
    reply = {"ip_proto": TCP, "tcp_src": 443, "tcp_dst": 40000, "tcp_flags": 0x12}
    fate = parted.send("broker", eth_type=family.eth_type, **ends, **reply)
    assert (fate.router, fate.walk.end) == ("oslo1", End.DROPPED)
    answer = RESPONDER.respond(handed_up(fate, family))
    assert answer is not None
    assert kind_and_code(answer) == ((3, 1) if family is IP4 else (1, 3))
    quoted = ETHERNET + (28 if family is IP4 else 48)
    assert answer.frame[quoted:] == handed_up(fate, family).frame[ETHERNET + 4 :], "told a label that it did not send"
    assert delivered(answer).vlan == PLAN.network.site["broker"].accesses[0].vlan


@IP_VERSION
def test_too_long_is_answered_with_the_lines_mtu_if_it_may_not_be_split(family: IpVersion) -> None:
    frame_bytes = ETHERNET + SHORT_MTU
    assert sent("unn", "bodo-gp", family, frame_bytes=frame_bytes).vlan is not None
    fate = sent("unn", "bodo-gp", family, frame_bytes=frame_bytes + 1)
    assert fate.dropped_for == Drop.TOO_LONG
    answer = RESPONDER.respond(handed_up(fate, family))
    assert answer is not None and answer.router == "bodo"
    assert kind_and_code(answer) == ((3, 4) if family is IP4 else (2, 0))
    mtu = answer.frame[ETHERNET + 26 : ETHERNET + 28] if family is IP4 else answer.frame[ETHERNET + 44 : ETHERNET + 48]
    assert int.from_bytes(mtu, "big") == SHORT_MTU
    assert delivered(answer).vlan == PLAN.network.site["unn"].accesses[0].vlan
    splitting = RESPONDER.respond(handed_up(fate, family, fragment=0))
    assert (splitting is None) is (family is IP4)
    # One that runs out of hops as well is told of that: no router looks further.
    assert sent("unn", "bodo-gp", family, frame_bytes=1514, nw_ttl=2).dropped_for is None


@IP_VERSION
def test_nobody_is_told_where_nobody_can_be(family: IpVersion) -> None:
    fate = sent("bodo-gp", "st-olav", family)
    known = handed_up(fate, family)
    nobodys = bytes(12) + b"\x08\x00" + ipv4("192.0.2.1", "10.1.0.2")
    if family is IP6:
        nobodys = bytes(12) + b"\x86\xdd" + ipv6("2001:db8::1", "fd00:0:0:1::2")
    for punt in (
        Punt("bodo", False, known.cookie, 0, known.frame),  # of no VPN
        Punt("bodo", False, known.cookie, 99, known.frame),  # of a VPN that is not
        Punt("bodo", False, known.cookie, known.metadata, nobodys),
        Punt("bodo", False, known.cookie, known.metadata, known.frame[:30]),
    ):
        assert RESPONDER.respond(punt) is None
