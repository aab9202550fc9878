"""Real RTP and RTCP of the flow engine, read by Scapy's dissectors from what arrives at a plain socket, and its reports
on what it heard."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from loopback_flows import DEADLINE_S, MS, bound, plain_socket, two_way_call, wait_until
from scapy.contrib.rtcp import RTCP
from scapy.layers.rtp import RTP

from helsewan.lab.flows._flows import FORMAT_RTCP, FORMAT_RTP, RTCP_BYTES, RTP_BYTES, Engine
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import FlowKind, RtcpFormat, RtpFormat
from helsewan.lab.flows.records import RECEIVER, RECORD, SENDER
from helsewan.lab.flows.schedule import ENTRY, schedule_of
from helsewan.scenarios.results.measure import Window, measure

COOKIE = 7
STAMP = struct.Struct("!IIIQ")  # cookie, flow, seq, time
EPOCH_1900_S = 2_208_988_800


class Call:
    """An engine whose call is heard by plain sockets: two RTP senders, and RTCP of the first."""

    def __init__(self, stack: ExitStack, table: list[tuple[int, int, int, int]] | None = None) -> None:
        self.senders, self.receivers, self.records = np.zeros(8, SENDER), np.zeros(8, RECEIVER), np.zeros(999, RECORD)
        rows = np.array([(*row, 0) for row in table or []], ENTRY)
        lateness = np.zeros(9, np.uint64)
        self.engine = Engine(self.records, self.senders, self.receivers, lateness, cookie=COOKIE, table=rows)
        self.media, self.control, self.sender = (stack.enter_context(bound()) for _ in range(3))
        for opened in (self.media, self.control):
            opened.settimeout(DEADLINE_S)
        self.start_ns = time.time_ns()

    def add(self, flow: int, to: socket.socket, **changes: int) -> int:
        values = {"start_ns": self.start_ns, "stop_ns": self.start_ns + 10 * 20 * MS, "interval_ns": 20 * MS}
        values |= {"burst": 1, "payload_bytes": 172, "format": FORMAT_RTP, "payload_type": 8, "clock_hz": 8_000}
        port = to.getsockname()[1]
        return self.engine.add_sender(self.sender.fileno(), flow, "127.0.0.1", port, **{**values, **changes})

    @contextmanager
    def running(self) -> Iterator[None]:
        reader, writer = os.pipe()
        thread = threading.Thread(target=self.engine.run, args=(reader,))
        thread.start()
        try:
            yield
        finally:
            os.write(writer, b"x")
            thread.join(DEADLINE_S)
            os.close(reader)
            os.close(writer)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def rtcp_packets(payload: bytes) -> list[RTCP]:
    """The packets of a compound one, each read by Scapy; that an APP packet has data is all it knows of these."""
    packets = []
    while payload:
        length = 4 * (struct.unpack_from("!H", payload, 2)[0] + 1)
        packets.append(RTCP(payload[:length]))
        assert (packets[-1].version, packets[-1].padding, len(payload) >= length) == (2, 0, True)
        payload = payload[length:]
    return packets


def kinds(packets: list[RTCP]) -> list[tuple[int, int]]:
    """Type of each, and how many blocks or chunks it has."""
    return [(packet.packet_type, packet.count) for packet in packets]


def test_g711_is_read_as_rtp(stack: ExitStack) -> None:
    call = Call(stack)
    call.add(0, call.media)
    with call.running():
        raw = [call.media.recv(2_000) for _ in range(10)]
    assert {len(each) for each in raw} == {172}
    packets = [RTP(each) for each in raw]
    assert {(p.version, p.padding, p.extension, p.numsync, p.payload_type) for p in packets} == {(2, 0, 0, 0, 8)}
    assert len({p.sourcesync for p in packets}) == 1
    first = packets[0]
    assert [(p.sequence - first.sequence) % 2**16 for p in packets] == list(range(10))
    assert [(p.timestamp - first.timestamp) % 2**32 for p in packets] == [160 * number for number in range(10)]
    assert [p.marker for p in packets] == [1] + 9 * [0], "one talk spurt"
    stamps = [STAMP.unpack_from(bytes(p.payload)) for p in packets]
    assert [(cookie, flow, seq) for cookie, flow, seq, _ in stamps] == [(COOKIE, 0, number) for number in range(10)]


def test_frames_of_video_keep_their_time_stamps_and_markers(stack: ExitStack) -> None:
    """Three datagrams of one frame, paced, then one of a frame that was captured before it."""
    table = [(0, 80 * MS, 1_200, 0), (5 * MS, 85 * MS, 1_200, 0), (9 * MS, 89 * MS, 700, 1), (40 * MS, 160 * MS, 99, 1)]
    call = Call(stack, table)
    call.add(0, call.media, count=4, payload_type=96, clock_hz=90_000)
    with call.running():
        packets = [RTP(call.media.recv(2_000)) for _ in range(4)]
    assert [len(p) for p in packets] == [1_200, 1_200, 700, 99]
    assert [p.marker for p in packets] == [0, 0, 1, 1]
    assert {(p.timestamp - packets[0].timestamp) % 2**32 for p in packets[:3]} == {0}
    assert (packets[0].timestamp - packets[3].timestamp) % 2**32 == 40 * 90, "40 ms before"


def test_the_smallest_payload_holds_the_stamp() -> None:
    assert RTP_BYTES == 12 + 20, "G.729's 20 ms of speech are 20 bytes"


def test_reports_are_read_as_compound_rtcp(stack: ExitStack) -> None:
    """A sender report after RTP was sent, with its counts and times; a receiver report of the side that sent none."""
    call = Call(stack)
    own = call.add(0, call.media)
    silent = call.add(1, call.media, stop_ns=call.start_ns)
    late_ns = call.start_ns + 300 * MS
    reports = {"payload_bytes": RTCP_BYTES, "format": FORMAT_RTCP, "start_ns": late_ns, "stop_ns": late_ns + 1}
    call.add(2, call.control, own=own, peer=silent, **reports)
    later = {"start_ns": late_ns + MS, "stop_ns": late_ns + 2 * MS}
    call.add(3, call.control, own=silent, peer=own, **{**reports, **later})
    with call.running():
        media = [RTP(call.media.recv(2_000)) for _ in range(10)]
        sender_report, receiver_report = (rtcp_packets(call.control.recv(2_000)) for _ in range(2))
    ssrc = media[0].sourcesync
    assert kinds(sender_report) == [(200, 0), (202, 1), (204, 0)]
    info = sender_report[0].sender_info
    assert (sender_report[0].sourcesync, info.sender_packet_count, info.sender_octet_count) == (ssrc, 10, 1_600)
    seconds, fraction = divmod(info.ntp_timestamp, 2**32)
    sent_ns = (seconds - EPOCH_1900_S) * 10**9 + (fraction * 10**9 >> 32)
    assert late_ns <= sent_ns < late_ns + DEADLINE_S * 1e9
    since_s = (sent_ns - call.start_ns) / 1e9
    assert abs((info.rtp_timestamp - media[0].timestamp) % 2**32 - since_s * 8_000) <= 1
    assert kinds(receiver_report) == [(201, 0), (202, 1), (204, 0)]
    (chunk,) = sender_report[1].sdes_chunks
    assert (chunk.sourcesync, chunk.items[0].chunk_type) == (ssrc, 1)
    assert chunk.items[0].value == b"%08x@helsewan" % ssrc
    app = bytes(sender_report[2])
    assert app[4:12] == struct.pack("!I4s", ssrc, b"HSWF")
    assert STAMP.unpack(app[12:])[:3] == (COOKIE, 2, 0)


def test_a_stream_that_is_no_rtp_cannot_be_reported_on(stack: ExitStack) -> None:
    call = Call(stack)
    plain = call.add(0, call.media, format=0)
    rtp = call.add(1, call.media)
    for own, peer in ((plain, rtp), (rtp, plain), (rtp, 2), (rtp, 2**32 - 1)):
        with pytest.raises(OSError, match="Invalid"):
            call.add(2, call.control, payload_bytes=RTCP_BYTES, format=FORMAT_RTCP, own=own, peer=peer)
    for changes in ({"payload_bytes": 31}, {"format": 3}, {"clock_hz": 0}, {"payload_type": 128}):
        with pytest.raises(ValueError):
            call.add(2, call.media, **changes)


def test_a_call_reports_what_it_heard() -> None:
    """Both ways over loopback, with a plain socket in one end's place: the block counts what did not come."""
    there, back = two_way_call()
    rtp = RtpFormat(8, 8_000)
    media = [replace(flow, format=rtp, name=name) for flow, name in ((there, "there"), (back, "back"))]
    near, far = replace(there.source, port=there.source.port + 1), replace(there.destination, port=free_port())
    due = schedule_of(np.array([60, 140]) * MS)
    reports = replace(
        there,
        id=2,
        kind=FlowKind.RTCP,
        source=near,
        destination=far,
        schedule=due,
        payload_bytes=RTCP_BYTES,
        format=RtcpFormat("there", "back"),
        stop_us=200_000,
    )
    answers = replace(reports, id=3, source=far, destination=near, format=RtcpFormat("back", "there"))
    flows = [*media, reports, answers]
    engine = FlowEngine(flows, plain_socket, cookie=COOKIE)
    engine.start(time.time_ns())
    wait_until(lambda: len(engine.records) == 104)
    engine.stop()
    result = measure(engine.records, flows, engine.endpoints, [Window("run", 0, 200_000)], engine.due)
    engine.close()
    for flow in flows:
        figures = result.figures[flow.id, "run"]
        assert (figures.lost, figures.misdelivered, figures.mismarked) == (0, 0, 0)
        assert figures.sent == (2 if flow.kind is FlowKind.RTCP else 50)
    assert result.figures[0, "run"].mos > 4


def free_port() -> int:
    with bound() as opened:
        return int(opened.getsockname()[1])


def test_report_blocks_count_loss_jitter_and_the_last_sender_report(stack: ExitStack) -> None:
    """The peer's stream is made here, by the engine's own datagrams sent again with some left out."""
    source = Call(stack)
    source.add(0, source.media)
    source.add(1, source.media, stop_ns=source.start_ns)
    source.add(2, source.control, payload_bytes=RTCP_BYTES, format=FORMAT_RTCP, own=0, peer=1,
               start_ns=source.start_ns + 250 * MS, stop_ns=source.start_ns + 251 * MS)  # fmt: skip
    with source.running():
        media = [source.media.recv(2_000) for _ in range(10)]
        report = source.control.recv(2_000)

    call = Call(stack)
    heard = stack.enter_context(bound())
    call.engine.add_receiver(heard.fileno(), 0)
    call.add(0, call.media, stop_ns=call.start_ns)
    call.add(1, call.media, stop_ns=call.start_ns)
    call.add(2, call.control, payload_bytes=RTCP_BYTES, format=FORMAT_RTCP, own=0, peer=1, stop_ns=call.start_ns)
    due = {"start_ns": time.time_ns() + 50 * MS, "interval_ns": 400 * MS}
    call.add(3, call.control, payload_bytes=RTCP_BYTES, format=FORMAT_RTCP, own=1, peer=0, **due,
             stop_ns=due["start_ns"] + 700 * MS)  # fmt: skip
    for number in (0, 1, 2, 4, 5, 7, 8, 9):
        heard_from = call.sender
        heard_from.sendto(media[number], heard.getsockname())
    call.sender.sendto(report, heard.getsockname())
    with call.running():
        first, second = (rtcp_packets(call.control.recv(2_000)) for _ in range(2))
    assert kinds(first) == [(201, 1), (202, 1), (204, 0)]
    (block,) = first[0].report_blocks
    packets = [RTP(each) for each in media]
    assert block.sourcesync == packets[0].sourcesync
    assert (block.fraction_lost, block.cumulative_lost) == (2 * 256 // 10, 2)
    assert block.highest_seqnum_recv & 0xFFFF == packets[9].sequence
    assert block.interarrival_jitter > 0, "they arrived together, their time stamps are 20 ms apart"
    assert block.last_SR_timestamp == int.from_bytes(report[10:14], "big")
    assert 0 < block.delay_since_last_SR / 65_536 < DEADLINE_S
    assert kinds(second) == [(201, 0), (202, 1), (204, 0)], "nothing heard since"
