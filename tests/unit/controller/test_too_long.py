"""Packets that links report as too long: whose answer they get, and that a stranger's report gets none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from controller_plan import small_plan
from hypothesis import given
from hypothesis import strategies as st
from ip_packets import ipv4, ipv6

from helsewan.controller.openflow.entries import CONTROLLER_METER, PacketMeterRule
from helsewan.controller.openflow.pipeline import DESTINATION_VPN
from helsewan.controller.rules.access_rules import diverted_label
from helsewan.controller.slowpath.icmp import IcmpError
from helsewan.controller.slowpath.icmp_responder import IcmpResponder
from helsewan.controller.slowpath.too_long import LinkEnd, RateLimit, read_link_ends, reported_punt, write_link_ends
from helsewan.topology.model import router_address4, router_address6

PLAN = small_plan()
SITE, SENDER = PLAN.network.site["bodo-gp"], PLAN.network.site["unn"]
ENDS = {0: LinkEnd("bodo", SITE.id), 1: LinkEnd(SITE.id, "bodo"), 2: LinkEnd("bodo", "tromso")}
VPN = PLAN.vpn[PLAN.role_of_site[SITE.id].vpn]
IP_VERSION = pytest.mark.parametrize("version", [4, 6])
LOAD = bytes(1300)


def packet(version: int) -> bytes:
    """A packet of the other site to the site, with the Don't Fragment bit in IPv4."""
    if version == 4:
        whole = bytearray(ipv4(str(SENDER.address4), str(SITE.address4), body=LOAD))
        whole[6] |= 0x40
        return bytes(whole)
    return ipv6(str(SENDER.address6), str(SITE.address6), body=LOAD)


def report(pipe: int, mtu: int, version: int, labels: tuple[int, ...] = ()) -> bytes:
    """A report as the link engine sends it."""
    kind = 0x8847 if labels else {4: 0x0800, 6: 0x86DD}[version]
    stack = [label << 12 | (number == len(labels) - 1) << 8 | 64 for number, label in enumerate(labels)]
    shim = b"".join(entry.to_bytes(4, "big") for entry in stack)
    return struct.pack("=II", pipe, mtu) + bytes(12) + kind.to_bytes(2, "big") + shim + packet(version)


@IP_VERSION
def test_a_router_answers_for_its_access_link(version: int) -> None:
    punt = reported_punt(report(0, 1200, version), ENDS, PLAN)
    assert punt is not None and punt.error is IcmpError.TOO_LONG
    assert (punt.router, punt.mtu_bytes, punt.metadata) == ("bodo", 1200, DESTINATION_VPN.of(VPN.id)[0])
    answer = IcmpResponder(PLAN).respond(punt)
    assert answer is not None and answer.router == "bodo"
    router = PLAN.network.router["bodo"]
    own = router_address4(router).packed if version == 4 else router_address6(router).packed
    ends = own + (SENDER.address4 if version == 4 else SENDER.address6).packed
    assert ends in answer.frame and (1200).to_bytes(2, "big") in answer.frame[14 + 20 : 14 + 48]


@IP_VERSION
@pytest.mark.parametrize("diverted", [False, True])
def test_labels_on_a_link_between_routers_count_and_tell_the_vpn(version: int, diverted: bool) -> None:
    """A packet that was diverted by the router of a failed access link, too."""
    label = VPN.label if version == 4 else VPN.label6
    labels = (70_000, diverted_label(label) if diverted else label)
    punt = reported_punt(report(2, 1300, version, labels), ENDS, PLAN)
    assert punt is not None and (punt.router, punt.mtu_bytes, punt.metadata) == ("bodo", 1300 - 8, 0)
    assert IcmpResponder(PLAN).respond(punt) is not None


FRAME = report(2, 1300, 4, (70_000, VPN.label))[4:]


def test_what_no_router_sent_gets_no_answer() -> None:
    assert reported_punt(report(1, 1200, 4), ENDS, PLAN) is None
    assert reported_punt(report(9, 1200, 4), ENDS, PLAN) is None


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: FRAME[:24] + tail))
def test_no_report_ends_it(data: bytes) -> None:
    for pipe in ENDS:
        if punt := reported_punt(struct.pack("=I", pipe) + data, ENDS, PLAN):
            IcmpResponder(PLAN).respond(punt)


def test_answers_are_limited_as_punted_packets_are() -> None:
    limit = RateLimit(PacketMeterRule(CONTROLLER_METER, rate_pps=10, burst_packets=5))
    assert [limit.permits(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [limit.permits(100.2) for _ in range(3)] == [True, True, False]


def test_the_links_are_read_back(tmp_path: Path) -> None:
    write_link_ends(tmp_path / "ends", {number: (end.router, end.target) for number, end in ENDS.items()})
    assert read_link_ends(tmp_path / "ends") == ENDS
