"""ICMP errors of sites: passed on about allowed traffic, to its sender and nobody else; forged ones are not."""

from __future__ import annotations

import struct

import pytest
from controller_plan import small_plan
from hypothesis import given
from hypothesis import strategies as st
from ip_packets import ipv4, ipv6

from helsewan.controller.openflow.entries import DecTtl, Resubmit, SetField
from helsewan.controller.openflow.pipeline import DESTINATION_ROLE, DESTINATION_VPN, SOURCE_ROLE, VRF, Drop, Purpose
from helsewan.controller.openflow.pipeline import cookie as cookie_of
from helsewan.controller.rules.punt import Punt
from helsewan.controller.slowpath.icmp_responder import IcmpResponder, PacketOut
from helsewan.topology.model import Site

PLAN = small_plan()
RESPONDER = IcmpResponder(PLAN)
SITE, OTHER = PLAN.network.site["bodo-gp"], PLAN.network.site["unn"]  # may send voice to each other, udp/20000
UDP, VOICE = 17, 20000
IP_VERSION = pytest.mark.parametrize("version", [4, 6])


def address(site: Site, version: int) -> str:
    """A site's own address."""
    return str(site.address4 if version == 4 else site.address6)


def datagram(source: str, destination: str, port: int, protocol: int = UDP) -> bytes:
    """A datagram from an unused port."""
    body = struct.pack("!HHHH", 9, port, 8, 0)
    packet = bytearray((ipv6 if ":" in source else ipv4)(source, destination, body=body))
    packet[6 if ":" in source else 9] = protocol
    return bytes(packet)


def error(version: int, about: bytes, sender: Site = SITE, receiver: Site = OTHER) -> Punt:
    """An ICMP error of a site, port unreachable, as its router's switch punts it."""
    body = struct.pack("!BBHI", *((3, 3) if version == 4 else (1, 4)), 0, 0) + about
    ends = address(sender, version), address(receiver, version)
    packet = bytearray((ipv4 if version == 4 else ipv6)(*ends, body=body))
    packet[9 if version == 4 else 6] = 1 if version == 4 else 58
    kind = 0x0800 if version == 4 else 0x86DD
    roles = PLAN.role_of_site[sender.id], PLAN.role_of_site[receiver.id]
    metadata = sum(
        part.of(number)[0]
        for part, number in (
            (VRF, PLAN.vpn[roles[0].vpn].id),
            (SOURCE_ROLE, roles[0].id),
            (DESTINATION_ROLE, roles[1].id),
            (DESTINATION_VPN, PLAN.vpn[roles[1].vpn].id),
        )
    )
    frame = bytes(12) + kind.to_bytes(2, "big") + bytes(packet)
    return Punt(sender.homing[0], False, cookie_of(Purpose.DROP, Drop.ICMP_ERROR), metadata, frame)


def passed_on(punt: Punt) -> PacketOut | None:
    """What the slow path does with it."""
    return RESPONDER.respond(punt)


@IP_VERSION
def test_an_error_about_an_allowed_datagram_reaches_its_sender(version: int) -> None:
    about = datagram(address(OTHER, version), address(SITE, version), VOICE)
    answer = passed_on(error(version, about))
    assert answer is not None and answer.router == SITE.homing[0] and answer.frame.endswith(about)
    assert isinstance(answer.actions[0], SetField) and answer.actions[0].field == "ip_dscp"
    assert DecTtl() in answer.actions or isinstance(answer.actions[-1], Resubmit)


@IP_VERSION
def test_what_no_contract_allows_is_not_passed_on(version: int) -> None:
    there, here = address(OTHER, version), address(SITE, version)
    assert passed_on(error(version, datagram(there, here, 9))) is None
    assert passed_on(error(version, datagram(there, here, VOICE, protocol=132))) is None


@IP_VERSION
def test_an_error_about_anothers_traffic_is_not_passed_on(version: int) -> None:
    """From another sender than its receiver, or to another site than the one that complains, of the same role too."""
    there, here = address(OTHER, version), address(SITE, version)
    for site in PLAN.network.sites:
        if site.id != SITE.id:
            assert passed_on(error(version, datagram(there, address(site, version), VOICE))) is None
        if site.id != OTHER.id:
            assert passed_on(error(version, datagram(address(site, version), here, VOICE))) is None


@IP_VERSION
def test_no_error_crosses_between_roles_without_a_contract(version: int) -> None:
    """Whatever it quotes: the roles are those that the switch found, in whose VPNs the addresses are looked up."""
    pairs = {frozenset((contract.client, contract.server)) for contract in PLAN.contracts}
    for sender in PLAN.network.sites:
        for receiver in PLAN.network.sites:
            roles = frozenset(PLAN.role_of_site[site.id].id for site in (sender, receiver))
            if roles not in pairs:
                about = datagram(address(receiver, version), address(sender, version), VOICE)
                assert passed_on(error(version, about, sender, receiver)) is None


@given(st.sampled_from([4, 6]), st.binary(max_size=60), st.integers(0, 60))
def test_no_error_ends_it(version: int, tail: bytes, kept: int) -> None:
    about = datagram(address(OTHER, version), address(SITE, version), VOICE)
    passed_on(error(version, about[:kept] + tail))
