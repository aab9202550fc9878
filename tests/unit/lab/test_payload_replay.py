"""Conversations of captures had again by sockets, here on the loopback interface."""

from __future__ import annotations

import os
import socket
import threading
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest
from capture_files import MS, Recorded, ethernet, ip4, pcap, tcp, udp, write
from waiting import wait_for

from helsewan.common.run_clock import RunClock
from helsewan.lab.captures.survey import survey
from helsewan.lab.flows.records import Array
from helsewan.lab.flows.replay_plan import Extent, Host, Pace, ReplayFlow, ReplayMode, ReplayPlan, Told
from helsewan.lab.replay.payload_replay import PayloadReplay
from helsewan.lab.replay.replay_counts import Outcome
from helsewan.lab.replay.replay_records import RecordFile, read_records

A, B, PORT = "10.1.0.1", "10.2.0.1", 18_443
HERE, THERE = IPv4Address("127.53.0.1"), IPv4Address("127.53.0.2")  # all of 127/8 is this machine
SYN, FIN, RST, ACK = 0x02, 0x01, 0x04, 0x10
PORTS = {6: frozenset({PORT}), 17: frozenset({PORT})}


def segment(
    at_ms: float, by_client: bool, offset: int, data: bytes = b"", flags: int = ACK, port: int = 40_000
) -> Recorded:
    ports = (port, PORT) if by_client else (PORT, port)
    made = tcp(*ports, data, sequence=1 + offset - bool(flags & SYN), flags=flags)
    return Recorded(round(at_ms * MS), ethernet(ip4(*((A, B) if by_client else (B, A)), 6, made)))


def plan_of(path: Path, pace: Pace, denied: bool = False) -> ReplayPlan:
    found = survey([path], PORTS, lambda address: True, 1500)
    hosts = {IPv4Address(A).packed: Host("a", HERE), IPv4Address(B).packed: Host("b", THERE)}
    flow_of = {key: number for number, key in enumerate(found.kinds)}
    flows = tuple(
        ReplayFlow(number, f"r/{number}", "", "", "a", "b", hosts[key[0]], hosts[key[1]], 1, denied, ("r",))
        for key, number in flow_of.items()
    )
    kinds = found.kinds.values()
    first, last = min(each.first_ns for each in kinds), max(each.last_ns for each in kinds)
    extent = Extent(sum(each.packets for each in kinds), 0, first, last)
    told = Told(0, 0, 0, 0, (), {}, 0, 0, (), 0, 0, 0, 0, 0)
    mtu = {"a": 1500, "b": 1500}
    return ReplayPlan("r", (path,), ReplayMode.PAYLOAD, pace, hosts, flow_of, flows, PORTS, mtu, extent, told)


class Deaf(socket.socket):
    """A socket that does not listen, so that connections to it are refused."""

    def listen(self, backlog: int = 0, /) -> None:
        """Do nothing."""


def replayed(
    tmp_path: Path,
    packets: list[Recorded],
    *,
    sent: int,
    loops: int = 1,
    denied: bool = False,
    kind_of_b: type[socket.socket] = socket.socket,
) -> tuple[Outcome, Array]:
    """The outcome and the records of a replay, which ends once ``sent`` records are there and received, or, where site
    b is deaf, a while after all was due."""
    plan = plan_of(write(tmp_path / "capture", pcap(packets)), Pace(loops=loops), denied)
    records, path = RecordFile(tmp_path / "records"), tmp_path / "records"
    kinds = {"a": socket.socket, "b": kind_of_b}
    replay = PayloadReplay(plan, lambda site, family, kind: kinds[site](family, kind), records)
    reading, writing = os.pipe()
    clock = RunClock()
    epoch_ns = clock.now_ns() + 20 * MS
    thread = threading.Thread(target=replay.run, args=(epoch_ns, reading))
    thread.start()
    all_due_ns = epoch_ns + plan.extent.ends_us(plan.pace) * 1000 + 200 * MS

    def is_over() -> bool:
        if kind_of_b is Deaf:
            return records.count >= sent and clock.now_ns() > all_due_ns
        return records.count >= sent and int((read_records(path)["received_ns"] > 0).sum()) >= sent

    wait_for(is_over, "the end of the replay")
    os.close(writing)
    thread.join()
    os.close(reading)
    outcome = replay.counts.outcome(records.count)
    records.close()
    return outcome, np.array(read_records(path))


TALK = [
    segment(0, True, 0, flags=SYN),
    segment(1, False, 0, flags=SYN | ACK),
    segment(2, True, 0, b"ask" * 1000),
    segment(102, False, 0, b"answer" * 10_000),
    segment(103, True, 3000, b"thanks"),
    segment(104, True, 3006, flags=FIN | ACK),
    segment(105, False, 60_000, flags=FIN | ACK),
]


def test_both_ends_say_what_they_said_after_as_long_a_thought(tmp_path: Path) -> None:
    outcome, records = replayed(tmp_path, TALK, sent=4)
    assert (outcome.sent, outcome.wrong, outcome.ended) == (4, 0, True)
    assert records["number"].tolist() == [1, 3, 4, 5]
    assert (records["received_ns"] > 0).all()
    asked, answered, thanked = records[1], records[2], records[3]
    assert answered["sent_ns"] - asked["received_ns"] >= 99 * MS
    assert thanked["sent_ns"] >= answered["received_ns"]


def test_loops_are_connections_of_their_own(tmp_path: Path) -> None:
    outcome, records = replayed(tmp_path, TALK, sent=12, loops=3)
    assert (outcome.sent, outcome.wrong) == (12, 0)
    assert np.unique(records["loop"]).tolist() == [0, 1, 2]
    assert (records["received_ns"] > 0).all()


def test_many_connections_at_once_do_not_mix(tmp_path: Path) -> None:
    packets = []
    for number in range(50):
        port, at = 30_000 + number, number * 0.1
        packets += [segment(at, True, 0, flags=SYN, port=port)]
        packets += [segment(10 + at, True, 0, b"%04d" % number * 700, port=port)]
        packets += [segment(30 + at, False, 0, b"%04d" % (number + 5000) * 7000, port=port)]
    outcome, records = replayed(tmp_path, sorted(packets, key=lambda each: each.at_ns), sent=150)
    assert (outcome.sent, outcome.wrong) == (150, 0)
    assert (records["received_ns"] > 0).all()


def test_a_reset_ends_a_conversation(tmp_path: Path) -> None:
    outcome, records = replayed(tmp_path, [*TALK[:3], segment(50, False, 0, flags=RST)], sent=2)
    assert outcome.sent == 2 and (records["received_ns"] > 0).all()


def test_datagrams_are_followed_by_what_they_say(tmp_path: Path) -> None:
    packets = [Recorded(n * MS, ethernet(ip4(A, B, 17, udp(40_000, PORT, b"%d" % (n // 2))))) for n in range(20)] + [
        Recorded((20 + n) * MS, ethernet(ip4(B, A, 17, udp(PORT, 40_000, b"back")))) for n in range(5)
    ]
    outcome, records = replayed(tmp_path, packets, sent=25)
    assert (outcome.sent, outcome.stray, outcome.dropped) == (25, 0, 0)
    assert (records["received_ns"] >= records["sent_ns"]).all()


@pytest.mark.parametrize("denied", [False, True])
def test_what_follows_a_refused_connection_is_lost_or_left_out(tmp_path: Path, denied: bool) -> None:
    """Lost where the policy allows it; where it denies it, only the opening was tried."""
    outcome, records = replayed(tmp_path, TALK[:5], sent=1 if denied else 4, denied=denied, kind_of_b=Deaf)
    assert not (records["received_ns"] > 0).any()
    assert records["number"].tolist() == ([1] if denied else [1, 3, 4, 5])
    assert outcome.wrong == 0
