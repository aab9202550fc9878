"""Routers' answers: about which packets, and that each finds its way to the sender and to nobody else."""

from __future__ import annotations

import struct
from functools import cache
from ipaddress import IPv4Address
from itertools import permutations

import pytest
from controller_plan import SHORT_MTU, small_plan
from controller_switch import UDP, Fabric, Fate, Packet
from test_icmp import ipv4

from controller.answers import Answer, Answers
from controller.conductor import Conductor
from controller.fit import MTU_REGISTER
from controller.icmp import Trouble
from controller.pipeline import Drop, Purpose, cookie
from controller.punt import Punt
from topology.model import router_address4

PLAN = small_plan()
ANSWERS = Answers(PLAN)
VOICE = {"ip_proto": UDP, "udp_src": 9, "udp_dst": 20000}


DONT_FRAGMENT = 0x4000


@cache
def fabric() -> Fabric:
    """The small network, programmed."""
    conductor = Conductor(PLAN)
    return Fabric.of(PLAN, {router: conductor.target(router) for router in PLAN.network.router})


def handed_up(fate: Fate, *, expired: bool, fragment: int = DONT_FRAGMENT) -> Punt:
    """A packet as a switch hands it up."""
    fields = fate.packet.fields
    entries = b""
    for place, label in enumerate(fate.packet.labels):
        bottom = place == 0
        number = label["mpls_label"] << 12 | label["mpls_tc"] << 9 | bottom << 8 | label["mpls_ttl"]
        entries = struct.pack("!I", number) + entries
    kind = 0x8847 if entries else 0x0800
    packet = ipv4(fields["ipv4_src"], fields["ipv4_dst"], fragment=fragment, body=bytes(8))
    frame = bytes(12) + kind.to_bytes(2, "big") + entries + packet
    assert fate.rule is not None
    return Punt(fate.router, expired, fate.rule.cookie, fields["metadata"], frame, fields[MTU_REGISTER])


def delivered(answer: Answer) -> Fate:
    """What becomes of an answer; its headers as the rules see them."""
    ip = answer.frame[14:]
    source, destination = (str(IPv4Address(ip[place : place + 4])) for place in (12, 16))
    header = {"eth_type": 0x0800, "ipv4_src": source, "ipv4_dst": destination, "ip_dscp": ip[1] >> 2, "nw_ttl": ip[8]}
    return fabric().inject(answer.router, Packet(header), answer.actions)


def test_every_hop_answers_and_the_sender_alone_is_told() -> None:
    heard = 0
    for source, target in permutations(PLAN.network.site.values(), 2):
        whole = fabric().send(source.id, ipv4_dst=str(target.address4), **VOICE)
        if whole.vlan is None:
            continue
        for ttl, router in enumerate(whole.routers, start=1):
            fate = fabric().send(source.id, ipv4_dst=str(target.address4), nw_ttl=ttl, **VOICE)
            assert (fate.router, fate.vlan) == (router, None)
            answer = ANSWERS.to(handed_up(fate, expired=True))
            assert answer is not None and answer.router == router
            assert answer.frame[26:30] == router_address4(PLAN.network.router[router]).packed
            back = delivered(answer)
            assert (back.router, back.vlan) == (source.homing[0], source.accesses[0].vlan)
            assert all(traffic_class == 6 for stack in back.labels for _, traffic_class in stack)
            heard += 1
    assert heard >= 10


def test_a_packet_arrives_with_what_the_routers_left_of_its_ttl() -> None:
    for target, routers in (("bergen-gp", 2), ("trondheim-gp", 1)):
        fate = fabric().send("st-olav", ipv4_dst=str(PLAN.network.site[target].address4), nw_ttl=17, **VOICE)
        assert len(fate.routers) == routers and fate.packet.fields["nw_ttl"] == 17 - routers


@pytest.mark.parametrize(
    ("number", "trouble"),
    [
        (cookie(Purpose.DROP, Drop.NO_ROUTE), Trouble.NO_ROUTE),
        (cookie(Purpose.DROP, Drop.NO_PATH), Trouble.NO_PATH),
        (cookie(Purpose.ROUTE, 3), Trouble.NO_PATH),
        (cookie(Purpose.DROP, Drop.SPOOFED), None),
        (cookie(Purpose.DROP, 999), None),
        (cookie(Purpose.LINE, 1), None),
        (0, None),
        (2**64 - 1, None),
    ],
)
def test_rules_say_what_the_trouble_is(number: int, trouble: Trouble | None) -> None:
    assert Punt("bodo", False, number, 0, b"").trouble is trouble


def test_unknown_destination_is_answered_in_the_senders_vpn() -> None:
    fate = fabric().send("bodo-gp", ipv4_dst="10.1.0.2", **VOICE)
    assert fate.dropped_for == Drop.NO_ROUTE
    answer = ANSWERS.to(handed_up(fate, expired=False))
    assert answer is not None and answer.frame[34:36] == b"\x03\x00"
    assert delivered(answer).vlan == PLAN.network.site["bodo-gp"].accesses[0].vlan


def test_too_long_is_answered_with_the_lines_mtu_if_it_may_not_be_split() -> None:
    frame_bytes, address = 14 + SHORT_MTU, str(PLAN.network.site["bodo-gp"].address4)
    assert fabric().send("unn", ipv4_dst=address, frame_bytes=frame_bytes, **VOICE).vlan is not None
    fate = fabric().send("unn", ipv4_dst=address, frame_bytes=frame_bytes + 1, **VOICE)
    assert fate.dropped_for == Drop.TOO_LONG
    answer = ANSWERS.to(handed_up(fate, expired=False))
    assert answer is not None and answer.router == "bodo"
    kind, code, mtu = struct.unpack_from("!BB4xH", answer.frame, 34)
    assert (kind, code, mtu) == (3, 4, SHORT_MTU)
    assert delivered(answer).vlan == PLAN.network.site["unn"].accesses[0].vlan
    assert ANSWERS.to(handed_up(fate, expired=False, fragment=0)) is None
    # One that runs out of hops as well is told of that: no router looks further.
    assert fabric().send("unn", ipv4_dst=address, frame_bytes=1514, nw_ttl=2, **VOICE).dropped_for is None


def test_nobody_is_told_where_nobody_can_be() -> None:
    fate = fabric().send("bodo-gp", ipv4_dst="10.1.0.2", **VOICE)
    known = handed_up(fate, expired=False)
    stranger = bytes(12) + b"\x08\x00" + ipv4("192.0.2.1", "10.1.0.2")
    for punt in (
        Punt("bodo", False, known.cookie, 0, known.frame),  # of no VPN
        Punt("bodo", False, known.cookie, 99, known.frame),  # of a VPN that is not
        Punt("bodo", False, known.cookie, known.metadata, stranger),
        Punt("bodo", False, known.cookie, known.metadata, known.frame[:30]),
    ):
        assert ANSWERS.to(punt) is None
