"""Packets of a capture are sent on time and known again where they come out, whatever a network does to them."""

from __future__ import annotations

import os
import socket
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from capture_files import MS, Recorded, conversation, ethernet, ip4, ip6, pcap, udp, write
from waiting import wait_for

from helsewan.lab.captures.ip_packet import parse
from helsewan.lab.captures.rewrite import rewritten
from helsewan.lab.captures.survey import survey
from helsewan.lab.flows.records import Array
from helsewan.lab.flows.replay_plan import Extent, Host, Pace, ReplayMode, ReplayPlan, Told
from helsewan.lab.replay.replay_counts import Outcome
from helsewan.lab.replay.replay_records import RecordFile, read_records
from helsewan.lab.replay.wire_replay import Sent, WireReplay, record_of
from helsewan.lab.replay.wire_sockets import NotSent

A, B = "10.1.0.1", "10.2.0.1"
HERE, THERE = Host("a", ip_address("10.0.0.3")), Host("b", ip_address("10.0.1.3"))


class Wire:
    """A site of a network of two, in which ``carry`` says what comes out of what is sent, by number."""

    def __init__(self, name: str, carry: Callable[[int, bytes], Iterable[bytes]]) -> None:
        self.name, self.other = name, self
        self._carry, self._sent, self._waiting = carry, 0, list[tuple[int, bytes]]()
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)

    def fileno(self) -> int:
        return self._reading.fileno()

    def send(self, packet: bytes) -> None:
        self._sent += 1
        for each in self._carry(self._sent - 1, packet):
            self.other._waiting.append((time.time_ns(), each[:80]))
            self.other._writing.send(b"x")

    def received(self) -> Iterable[tuple[int, bytes]]:
        if self._waiting:
            self._reading.recv(len(self._waiting))
        waiting, self._waiting = self._waiting, []
        return waiting

    def dropped(self) -> int:
        return 0

    def close(self) -> None:
        self._reading.close()
        self._writing.close()


def plan_of(path: Path, pace: Pace) -> ReplayPlan:
    found = survey([path], {}, lambda address: True, 1500)
    ends = dict.fromkeys(end for key in found.kinds for end in key[:2])
    hosts = dict(zip(ends, (HERE, THERE), strict=True))
    kinds = found.kinds.values()
    extent = Extent(
        sum(each.packets for each in kinds),
        0,
        min(each.first_ns for each in kinds),
        max(each.last_ns for each in kinds),
    )
    told = Told(0, 0, 0, 0, (), {}, 0, 0, (), 0, 0, 0, 0, 0)
    flow_of = {key: number for number, key in enumerate(found.kinds)}
    return ReplayPlan("r", (path,), ReplayMode.WIRE, pace, hosts, flow_of, (), {}, {"a": 1500, "b": 1500}, extent, told)


def replayed(
    tmp_path: Path,
    packets: list[Recorded],
    carry: Callable[[int, bytes], Iterable[bytes]],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> tuple[Outcome, Array]:
    """The outcome and records of a replay on a wire."""
    records = RecordFile(tmp_path / "records")
    a, b = Wire("a", carry), Wire("b", carry)
    a.other, b.other = b, a
    replay = WireReplay(plan_of(write(tmp_path / "capture", pcap(packets, nano=True)), pace), [a, b], records)
    replay.prepare()
    reading, writing = os.pipe()
    thread = threading.Thread(target=replay.run, args=(time.time_ns() + 5 * MS, reading))
    thread.start()
    wait_for(lambda: replay.counts.ended, "the last packet")
    os.close(writing)
    thread.join()
    os.close(reading)
    a.close()
    b.close()
    records.close()
    return replay.counts.outcome(records.count), np.array(read_records(tmp_path / "records"))


def whole(_: int, packet: bytes) -> list[bytes]:
    return [packet]


def test_what_is_carried_is_received_in_order(tmp_path: Path) -> None:
    outcome, records = replayed(tmp_path, conversation(A, B, 5060, 40, MS), whole)
    assert (outcome.sent, outcome.ended, outcome.stray, outcome.misdelivered) == (40, True, 0, 0)
    assert (records["received_ns"] >= records["sent_ns"]).all()
    assert records["number"].tolist() == list(range(1, 41))


def test_packets_leave_when_they_are_due(tmp_path: Path) -> None:
    """The second one, too: never before its time, by the clock of its loop."""
    packets = conversation(A, B, 5060, 4, 30 * MS)
    _, records = replayed(tmp_path, packets, whole, Pace(speed=2, loops=2))
    since = (records["sent_ns"] - records["sent_ns"][0]) / MS
    assert (since - 15 * np.arange(8) > -5).all()  # the first may have been late


def test_what_is_lost_doubled_or_late_is_known(tmp_path: Path) -> None:
    held: list[bytes] = []

    def carry(number: int, packet: bytes) -> list[bytes]:
        """Of each way: the fourth is lost, the sixth doubled, the eighth comes after the ninth."""
        if number == 7:
            held.append(packet)
        return {3: [], 5: [packet, packet], 7: [], 8: [packet, *held[-1:]]}.get(number, [packet])

    packets = [Recorded(n * MS, ethernet(ip4(A, B, 17, udp(1, 2, b"the same")))) for n in range(20)]
    outcome, records = replayed(tmp_path, packets, carry)
    assert outcome.stray == 0
    assert np.flatnonzero(records["received_ns"] == 0).tolist() == [3]
    assert np.flatnonzero(records["duplicates"]).tolist() == [5]
    assert records["received_ns"][7] > records["received_ns"][8]


def test_a_packet_at_another_site_is_misdelivered_and_one_never_sent_is_stray(tmp_path: Path) -> None:
    def carry(number: int, packet: bytes) -> list[bytes]:
        unknown = packet[:4] + b"\xff\xff" + packet[6:]
        back = packet[:4] + bytes(2) + packet[6:12] + packet[16:20] + packet[12:16] + packet[20:]
        return [packet, unknown, back] if number == 2 else [packet]

    outcome, _ = replayed(tmp_path, conversation(A, B, 5060, 10, MS), carry)
    assert outcome.stray == 2
    assert outcome.misdelivered == 2


def test_what_cannot_be_sent_is_counted(tmp_path: Path) -> None:
    def carry(number: int, packet: bytes) -> list[bytes]:
        if number in (1, 2):
            raise NotSent(full=number == 1)
        return [packet]

    packets = [Recorded(n * MS, ethernet(ip4(A, B, 17, udp(1, 2, b"")))) for n in range(5)]
    outcome, records = replayed(tmp_path, packets, carry)
    assert (outcome.not_sent, outcome.unreachable, outcome.sent) == (1, 1, 5)
    assert np.flatnonzero(records["received_ns"] == 0).tolist() == [1, 2]


@pytest.mark.parametrize("version", [4, 6])
def test_numbers_go_round_and_the_latest_packet_is_meant(version: int) -> None:
    ends = (A, B) if version == 4 else ("2001:db8::1", "2001:db8::2")
    packet = parse((ip4 if version == 4 else ip6)(*ends, 17, udp(1, 2, b"")), 0)
    mask = 0xFFFF if version == 4 else 0xFFFFF
    sent = Sent("b", array("q", range(1000, 1000 + mask + 50)))
    last = len(sent.records) - 1

    def numbered(number: int) -> bytes:
        return rewritten(packet, packet.source, packet.destination, 1500, number)[0]

    for number in (last, last - 1, last - 40, last - mask):
        assert record_of(sent, numbered(number)) == 1000 + number
    assert record_of(Sent("b", array("q", [7])), numbered(3)) is None
