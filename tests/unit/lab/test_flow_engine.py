"""The flow engine over loopback sockets: datagrams are received, timestamped, marked and counted."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from loopback_flows import DEADLINE_S, MS, bound, plain_socket, two_way_call, wait_until

from helsewan.lab.flows._flows import HEADER_BYTES, Engine
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.records import RECEIVER, RECORD, SENDER
from helsewan.scenarios.results.measure import Window, measure


class Bench:
    """An engine with small arrays and one receiver."""

    def __init__(self, records: int = 1_000, cookie: int = 7) -> None:
        self.records, self.lateness = np.zeros(records, RECORD), np.zeros(100, np.uint64)
        self.senders, self.receivers = np.zeros(4, SENDER), np.zeros(2, RECEIVER)
        self.engine = Engine(self.records, self.senders, self.receivers, self.lateness, cookie=cookie)
        self.near, self.far = bound(), bound()
        self.engine.add_receiver(self.far.fileno(), 5)

    def send(self, port: int | None = None, count: int = 10, **changes: int) -> None:
        start_ns = time.time_ns()
        values = {"interval_ns": MS, "burst": 1, "payload_bytes": 100, "tos": 0, "start_ns": start_ns, **changes}
        values.setdefault("stop_ns", values["start_ns"] + count * values["interval_ns"])
        to = port or self.far.getsockname()[1]
        self.engine.add_sender(self.near.fileno(), flow=3, address="127.0.0.1", port=to, **values)

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
            assert not thread.is_alive()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.near.close()
    made.far.close()


def test_datagrams_arrive_as_they_were_sent(bench: Bench) -> None:
    bench.send(count=10, burst=2, tos=46 << 2, payload_bytes=172)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 20)
    got = bench.records[:20]
    assert got["seq"].tolist() == list(range(20))
    assert set(got["flow"]) == {3} and set(got["receiver"]) == {5} and set(got["bytes"]) == {172}
    assert set(got["tos"]) == {46 << 2}
    assert set(got["source"]) == {0x7F000001}
    assert got["timed"].all(), "the kernel's own timestamps"
    assert (got["rx_ns"] >= got["tx_ns"]).all()
    assert bench.senders["sent"][0] == 20 and bench.receivers["received"][0] == 20
    assert bench.lateness.sum() == 20


def test_a_burst_of_more_than_one_call_holds_arrives_whole_and_in_order(bench: Bench) -> None:
    bench.send(count=2, burst=100)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 200)
    assert bench.records["seq"][:200].tolist() == list(range(200))
    assert bench.senders["sent"][0] == bench.lateness.sum() == 200


def test_senders_of_one_socket_that_come_due_together_keep_apart(bench: Bench) -> None:
    """Due at one time and sent in one call, each with its own mark, size and count; one has an address of its own."""
    start_ns = time.time_ns()
    pace = {"start_ns": start_ns, "stop_ns": start_ns + 20 * MS, "interval_ns": MS, "burst": 1}
    to, fd = bench.far.getsockname()[1], bench.near.fileno()
    for flow, tos, size in ((1, 46 << 2, 100), (2, 34 << 2, 1_200)):
        bench.engine.add_sender(fd, flow, "127.0.0.1", to, payload_bytes=size, tos=tos, **pace)
    bench.engine.add_sender(fd, 3, "255.255.255.255", 9, payload_bytes=50, **pace)  # refused, among the others
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 40 and bench.senders["failed"][2] == 20)
    for flow, tos, size in ((1, 46 << 2, 100), (2, 34 << 2, 1_200)):
        own = bench.records[:40][bench.records[:40]["flow"] == flow]
        assert own["seq"].tolist() == list(range(20))
        assert (set(own["tos"]), set(own["bytes"])) == ({tos}, {size})
    assert bench.senders["sent"].tolist() == [20, 20, 0, 0]


def test_what_waits_in_its_socket_is_recorded_when_the_engine_stops(bench: Bench) -> None:
    with bound() as reader_of_none:
        bench.engine.add_receiver(reader_of_none.fileno(), 6)
        bench.send(count=10)
        with bench.running():
            wait_until(lambda: bench.senders["sent"][0] == 10)
    assert bench.engine.recorded == 10


def test_datagrams_over_ipv6_arrive_marked_too(bench: Bench) -> None:
    with bound("::1") as near, bound("::1") as far:
        bench.engine.add_receiver(far.fileno(), 6)
        start_ns = time.time_ns()
        pace = {"start_ns": start_ns, "stop_ns": start_ns + 10 * MS, "interval_ns": MS, "burst": 1}
        to = far.getsockname()[1]
        bench.engine.add_sender(near.fileno(), flow=4, address="::1", port=to, payload_bytes=100, tos=46 << 2, **pace)
        bench.send(count=10, tos=34 << 2)
        with bench.running():
            wait_until(lambda: bench.engine.recorded == 20)
    four, six = (bench.records[:20][bench.records[:20]["flow"] == flow] for flow in (3, 4))
    assert set(six["receiver"]) == {6} and six["seq"].tolist() == list(range(10))
    assert (set(six["tos"]), set(four["tos"])) == ({46 << 2}, {34 << 2})
    assert six["timed"].all() and set(six["source"]) == {0}


def test_nothing_is_sent_before_it_is_due_and_the_schedule_does_not_drift(bench: Bench) -> None:
    start_ns = time.time_ns() + 20 * MS
    bench.send(count=30, start_ns=start_ns)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 30)
    due_ns = start_ns + np.arange(30) * MS
    assert (bench.records[:30]["tx_ns"] >= due_ns).all()
    assert bench.senders["worst_late_ns"][0] == (bench.records[:30]["tx_ns"] - due_ns).max()


def test_what_is_overdue_is_sent_and_counted_as_late(bench: Bench) -> None:
    bench.send(count=10, start_ns=time.time_ns() - 1_000 * MS)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 10)
    assert bench.senders["worst_late_ns"][0] >= 1_000 * MS
    assert bench.lateness[-1] == 10, "the last bucket is open"


def test_foreign_datagrams_are_seen_and_counted(bench: Bench) -> None:
    header = struct.Struct("!IIIIQ")
    for foreign in (b"", b"x", b"y" * 1_400, header.pack(0x48535746, 8, 3, 0, 0), header.pack(1, 7, 3, 0, 0)):
        bench.near.sendto(foreign, bench.far.getsockname())
    with bench.running():
        wait_until(lambda: bench.receivers["invalid"][0] == 5)
    assert bench.engine.recorded == 0


def test_a_full_buffer_is_counted_not_overrun() -> None:
    bench = Bench(records=3)
    bench.send(count=10)
    with bench.running():
        wait_until(lambda: bench.receivers["received"][0] == 10)
    assert (bench.engine.recorded, bench.engine.unrecorded) == (3, 7)
    assert bench.records["seq"].tolist() == [0, 1, 2]


def test_icmp_errors_stop_nothing(bench: Bench) -> None:
    with bound() as closed, bound() as told:
        port = closed.getsockname()[1]
        told.connect(("127.0.0.1", port))  # only a connected socket is told that a port is unreachable
        closed.close()
        bench.engine.add_receiver(told.fileno(), 6)
        start_ns = time.time_ns()
        bench.engine.add_sender(told.fileno(), 8, "127.0.0.1", port, start_ns, start_ns + 20 * MS, MS, 1, 100)
        bench.send(count=20)
        with bench.running():
            wait_until(lambda: bench.engine.recorded == 20 and bench.receivers["errors"][1] > 0)
            wait_until(lambda: bench.senders["sent"][0] + bench.senders["refused"][0] == 20)
    assert bench.senders["sent"][1] == 20


def test_refused_sends_are_counted(bench: Bench) -> None:
    start_ns = time.time_ns()
    bench.engine.add_sender(bench.near.fileno(), 9, "255.255.255.255", 9, start_ns, start_ns + 5 * MS, MS, 1, 100)
    with bench.running():
        wait_until(lambda: bench.senders["failed"][0] == 5)  # EACCES: no broadcast without SO_BROADCAST
    assert bench.senders["sent"][0] == 0


def test_a_stopped_engine_goes_on_where_it_was(bench: Bench) -> None:
    bench.send(count=5)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 5)
    bench.send(count=5)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 10)
    assert bench.senders["sent"][:2].tolist() == [5, 5]


def test_a_running_engine_refuses_changes(bench: Bench) -> None:
    bench.send(count=1)
    with bench.running():
        wait_until(lambda: bench.engine.recorded == 1)
        with pytest.raises(RuntimeError, match="running"):
            bench.send(count=1)
        with pytest.raises(RuntimeError, match="running"):
            bench.engine.run(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "nowhere"},
        {"payload_bytes": HEADER_BYTES - 1},
        {"payload_bytes": 65_508},
        {"interval_ns": 0},
        {"start_ns": 0},
        {"tos": 256},
    ],
)
def test_senders_that_make_no_sense_are_refused(bench: Bench, changes: dict[str, object]) -> None:
    values = {"address": "127.0.0.1", "port": 9, "start_ns": 1, "stop_ns": 2, "interval_ns": 1, "burst": 1}
    with pytest.raises(ValueError, match=next(iter(changes))):
        bench.engine.add_sender(**{"fd": bench.near.fileno(), "flow": 1, "payload_bytes": 100, **values, **changes})


def test_arrays_that_do_not_fit_are_refused() -> None:
    arrays = [np.zeros(4, RECORD), np.zeros(4, SENDER), np.zeros(4, RECEIVER), np.zeros(4, np.uint64)]
    for wrong in range(4):
        with pytest.raises(ValueError, match="needs at least one item"):
            Engine(*(np.zeros(4, np.uint8) if i == wrong else array for i, array in enumerate(arrays)))
    read_only = np.zeros(4, RECORD)
    read_only.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        Engine(read_only, *arrays[1:])


def test_no_room_for_more_senders(bench: Bench) -> None:
    for _ in range(4):
        bench.send(count=1)
    with pytest.raises(OSError, match="No space"):
        bench.send(count=1)


# --- with sockets of its own ------------------------------------------------------------------------


def test_a_call_runs_both_ways_over_one_socket_an_end() -> None:
    flows = two_way_call()
    engine = FlowEngine(flows, plain_socket, cookie=1)
    engine.start(time.time_ns())
    wait_until(lambda: len(engine.records) == 100)
    engine.stop()
    keeping = engine.keeping_up()
    result = measure(engine.records, flows, engine.endpoints, [Window("run", 0, 100_000)], engine.due)
    engine.close()
    assert len(engine.endpoints) == 2
    for flow in flows:
        figures = result.figures[flow.id, "run"]
        assert (figures.sent, figures.received, figures.misdelivered, figures.mismarked) == (50, 50, 0, 0)
    assert (keeping.unfinished, keeping.mute, keeping.unrecorded, keeping.untimed) == (0, 0, 0, 0)


def test_an_engine_stopped_early_says_so() -> None:
    flows = [replace(flow, stop_us=60_000_000) for flow in two_way_call()]
    engine = FlowEngine(flows, plain_socket)
    engine.start(time.time_ns())
    wait_until(lambda: len(engine.records) > 0)
    engine.stop()
    engine.close()
    assert engine.keeping_up().unfinished > 50_000


def test_a_port_in_use_leaves_nothing_open() -> None:
    flows = two_way_call()
    made: list[socket.socket] = []

    def socket_in(site: str, family: int, type_: int) -> socket.socket:
        made.append(socket.socket(family, type_))
        return made[-1]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as occupant:
        occupant.bind(("127.0.0.1", flows[0].source.port))
        with pytest.raises(OSError, match="in use"):
            FlowEngine(flows, socket_in)
    assert made and all(opened.fileno() == -1 for opened in made)
