"""A captured call and a captured video stream, over either IP version, as Scapy reads the file."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scapy.contrib.rtcp import RTCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.rtp import RTP
from scapy.packet import Packet
from scapy.utils import rdpcap, wrpcap
from scenario_case import FLOW
from waiting import wait_for

from helsewan.emulation.netlink.interfaces import routing
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.flows._flows import RTCP_BYTES
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec, RtcpFormat, RtpFormat
from helsewan.lab.flows.schedule import schedule_of
from helsewan.scenarios.spec.traffic.schema import VideoSpec
from helsewan.scenarios.traffic.schedules.video import video_schedule

ADDRESSES = {("a", 4): "10.0.0.1", ("b", 4): "10.0.0.2", ("a", 6): "fd00::1", ("b", 6): "fd00::2"}
PREFIXES = {4: 24, 6: 64}
INTERFACE = "wan0"
ETH_P_ALL = 3
CAPTURE_BYTES = 8 << 20
STOP_US = 1_000_000
PORT, VIDEO_PORT = 16_384, 17_408
MS = 1_000_000


@pytest.fixture
def sites() -> Iterator[dict[str, Namespace]]:
    """Two namespaces joined by veth, with an address of either version each."""
    made = {"a": Namespace(), "b": Namespace()}
    with routing(made["a"]) as route:
        route.link("add", ifname=INTERFACE, kind="veth", peer={"ifname": INTERFACE, "net_ns_fd": made["b"].fd})
    for name, namespace in made.items():
        namespace.sysctl({"ipv6/conf/default/accept_dad": 0, f"ipv6/conf/{INTERFACE}/accept_dad": 0})
        with routing(namespace) as route:
            index = route.link_lookup(ifname=INTERFACE)[0]
            for version, length in PREFIXES.items():
                route.addr("add", index=index, address=ADDRESSES[name, version], prefixlen=length)
            route.link("set", index=index, state="up")
    yield made
    for namespace in made.values():
        namespace.close()


def end(site: str, version: int, port: int) -> Endpoint:
    return Endpoint(site, ip_address(ADDRESSES[site, version]), port)


def call(version: int) -> list[FlowSpec]:
    """A call of a second in both directions, and two reports on it each way."""
    rtp = replace(FLOW, format=RtpFormat(8, 8_000), stop_us=STOP_US)
    rtcp = replace(rtp, kind=FlowKind.RTCP, payload_bytes=RTCP_BYTES, schedule=schedule_of([400 * MS, 900 * MS]))
    names = f"there{version}", f"back{version}"
    flows = []
    for name, ends in zip(names, (("a", "b"), ("b", "a")), strict=True):
        source, destination = (end(site, version, PORT) for site in ends)
        flows.append(replace(rtp, name=name, source=source, destination=destination))
    for own, peer, ends in ((*names, ("a", "b")), (*names[::-1], ("b", "a"))):
        source, destination = (end(site, version, PORT + 1) for site in ends)
        reports = replace(rtcp, name=f"{own} rtcp", source=source, destination=destination)
        flows.append(replace(reports, format=RtcpFormat(own, peer)))
    return flows


def video() -> FlowSpec:
    """A second of video over IPv6."""
    spec = VideoSpec.model_validate(
        {"kind": "video", "service": "video", "count": 1, "rate": "2 Mbit/s", "between": {"kind": ["hospital"]}}
    )
    schedule = video_schedule(spec, 1_000 * MS, np.random.default_rng(1))
    source, destination = end("a", 6, VIDEO_PORT), end("b", 6, VIDEO_PORT)
    return replace(
        FLOW, name="video", source=source, destination=destination, schedule=schedule, payload_bytes=1_000,
        format=RtpFormat(96, 90_000), stop_us=STOP_US, codec="",
    )  # fmt: skip


def captured(sites: dict[str, Namespace], flows: list[FlowSpec], file: Path) -> list[Packet]:
    """What Scapy reads of a capture of the flows at b, written to ``file``."""
    sniffer = sites["b"].socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CAPTURE_BYTES)
    sniffer.bind((INTERFACE, 0))
    sniffer.setblocking(False)
    engine = FlowEngine(flows, lambda site, family, kind: sites[site].socket(family, kind), cookie=3)
    engine.start(time.time_ns() + 100 * MS)
    planned = sum(flow.due_before(flow.stop_us) for flow in flows)
    wait_for(lambda: len(engine.records) == planned, "the last datagram")
    engine.stop()
    engine.close()
    frames = []
    while True:
        try:
            frames.append(Ether(sniffer.recv(2_000)))
        except BlockingIOError:
            break
    sniffer.close()
    wrpcap(str(file), frames)
    return [packet for packet in rdpcap(str(file)) if UDP in packet]


def test_a_capture_is_read_as_rtp_and_rtcp(sites: dict[str, Namespace], tmp_path: Path) -> None:
    flows = [replace(flow, id=number) for number, flow in enumerate([*call(4), *call(6), video()])]
    packets = captured(sites, flows, tmp_path / "call.pcap")
    assert {packet[IP].tos >> 2 for packet in packets if IP in packet} == {46}
    assert {packet[IPv6].tc >> 2 for packet in packets if IPv6 in packet} == {46}
    for version, layer in ((4, IP), (6, IPv6)):
        ssrc = {}
        for site in ("a", "b"):
            sent = [packet for packet in packets if layer in packet and packet[layer].src == ADDRESSES[site, version]]
            media = [RTP(bytes(packet[UDP].payload)) for packet in sent if packet[UDP].dport == PORT]
            assert len(media) == 50 and {each.payload_type for each in media} == {8}
            assert {(b.sequence - a.sequence) % 2**16 for a, b in pairwise(media)} == {1}
            assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(media)} == {160}
            ssrc[site] = media[0].sourcesync
        for site, other in (("a", "b"), ("b", "a")):
            sent = [packet for packet in packets if layer in packet and packet[layer].src == ADDRESSES[site, version]]
            reports = [RTCP(bytes(packet[UDP].payload)) for packet in sent if packet[UDP].dport == PORT + 1]
            assert [(each.packet_type, each.count, each.sourcesync) for each in reports] == 2 * [(200, 1, ssrc[site])]
            counts = [each.sender_info.sender_packet_count for each in reports]
            assert counts[0] in range(15, 25) and counts[1] in range(40, 50)
            assert [each.report_blocks[0].sourcesync for each in reports] == 2 * [ssrc[other]]
            assert {each.report_blocks[0].cumulative_lost for each in reports} == {0}
            assert reports[1].report_blocks[0].last_SR_timestamp != 0, "it had heard the other's first"
    frames = [RTP(bytes(packet[UDP].payload)) for packet in packets if packet[UDP].dport == VIDEO_PORT]
    assert len({frame.timestamp for frame in frames}) == sum(frame.marker for frame in frames) == 25
