"""Schedules: when each datagram is due, shared and repeated, and the flow engine's keeping of them."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_flows import MS, plain_socket, two_way_call, wait_until
from scenario_case import FLOW

from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.flows.schedule import Schedule, joined, schedule_of

TIMES = st.lists(st.integers(0, 999), max_size=8).map(sorted)


@given(TIMES, st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 3_000))
def test_counts_and_times_are_those_of_the_entries_written_out(
    due: list[int], offset: int, time_us: int, start_us: int
) -> None:
    """Against a list of all repetitions: due_before counts what due_times names, wherever a flow begins."""
    schedule = schedule_of(np.array(due, np.int64) * 1000, period_ns=1_000_000)
    flow = replace(FLOW, schedule=schedule, offset_ns=offset * 1000, start_us=start_us, stop_us=5_000)
    rounds = [start_us + base + each - offset for base in range(0, 12_000, 1_000) for each in due]
    expected = [each for each in rounds if start_us <= each < flow.stop_us]
    assert flow.due_before(time_us) == sum(each < time_us for each in expected)
    count = flow.due_before(flow.stop_us)
    assert flow.due_times(np.arange(count)).tolist() == expected


def test_a_schedule_without_a_period_is_followed_once() -> None:
    flow = replace(FLOW, schedule=schedule_of([0, 5_000, 9_000]), offset_ns=1_000, start_us=10, stop_us=1_000)
    assert [flow.due_before(us) for us in (10, 14, 15, 18, 19, 1_000)] == [0, 0, 1, 1, 2, 2]
    assert flow.due_times(np.arange(2)).tolist() == [14.0, 18.0]
    assert flow.due_times(np.array([77])).tolist() == [18.0], "any number may arrive"
    assert replace(flow, schedule=schedule_of([])).due_times(np.array([0])).shape == (1,)


@pytest.mark.parametrize(
    ("due", "period_ns", "message"),
    [([5, 4], 0, "in order"), ([-1, 4], 0, "in order"), ([1, 9], 9, "does not fit"), ([1], -1, "does not fit")],
)
def test_tables_that_are_no_schedule_are_refused(due: list[int], period_ns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule_of(due, period_ns=period_ns)


def test_equal_schedules_are_equal_and_cannot_change() -> None:
    one, same, other = schedule_of([1, 2]), schedule_of([1, 2]), schedule_of([1, 2], bytes_=100)
    assert one == same and hash(one) == hash(same) and one != other
    assert one != schedule_of([1, 2], period_ns=10)
    with pytest.raises(ValueError, match="read-only"):
        one.table["bytes"] = 5


def test_shared_schedules_stand_in_the_table_once() -> None:
    shared, own = schedule_of([1, 2]), schedule_of([7])
    table, first = joined([shared, own, shared])
    assert table["due_ns"].tolist() == [1, 2, 7]
    assert (first[id(shared)], first[id(own)]) == (0, 2)
    assert len(joined([])[0]) == 0


# --- on real sockets --------------------------------------------------------------------------------


def run(flows: list[FlowSpec]) -> FlowEngine:
    """The flows over loopback, until all that is planned has arrived."""
    engine = FlowEngine(flows, plain_socket, cookie=1)
    engine.start(time.time_ns())
    planned = sum(flow.due_before(flow.stop_us) for flow in flows)
    wait_until(lambda: len(engine.records) == planned)
    engine.stop()
    engine.close()
    return engine


def test_the_engine_sends_what_the_table_says_when_it_says_so() -> None:
    """Two flows share a table with gaps, bursts and sizes, one of them from its middle on; both repeat it."""
    sizes = [100, 200, 300, 400]
    schedule = schedule_of(np.array([0, 3, 3, 9]) * MS, bytes_=sizes, period_ns=10 * MS)
    there, back = two_way_call()
    there = replace(there, schedule=schedule, stop_us=33_000)
    back = replace(back, schedule=schedule, offset_ns=25 * MS, stop_us=30_000)
    engine = run([there, back])
    assert engine.due.tolist() == [there.due_before(33_000), back.due_before(30_000)] == [13, 12]
    for flow, shift in ((there, 0), (back, 3)):
        got = engine.records[engine.records["flow"] == flow.id]
        got = got[np.argsort(got["seq"])]
        assert got["seq"].tolist() == list(range(len(got)))
        assert got["bytes"].tolist() == [sizes[(shift + number) % 4] for number in range(len(got))]
        due_ns = got["tx_ns"] - flow.due_times(got["seq"]) * 1000
        assert due_ns.max() - due_ns.min() < 10**10 and (np.diff(got["tx_ns"]) >= 0).all()
    late_ns = engine.senders["worst_late_ns"].max()
    sent = engine.records["tx_ns"] - np.array(
        [(there, back)[record["flow"]].due_times(np.array([record["seq"]]))[0] * 1000 for record in engine.records]
    )
    assert sent.max() - sent.min() <= late_ns + 1_000, "no later than the engine says, and never early"
    assert engine.keeping_up().mute == 0


def test_a_flow_that_has_nothing_due_is_not_called_mute() -> None:
    there, back = two_way_call()
    empty = Schedule(schedule_of([]).table)
    late = schedule_of([900 * MS], period_ns=1_000 * MS)
    engine = run([there, replace(back, schedule=empty), replace(back, id=2, schedule=late)])
    health = engine.keeping_up()
    assert (health.mute, health.unfinished) == (0, 0)


def test_a_table_that_a_sender_leaves_is_refused() -> None:
    flows = two_way_call()
    schedule = schedule_of([0, MS])
    engine = FlowEngine([replace(flow, schedule=schedule) for flow in flows], plain_socket)
    values = {"flow": 0, "address": "127.0.0.1", "port": 9, "start_ns": 10, "stop_ns": 20, "interval_ns": 1}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        add = engine._engine.add_sender
        common = {"fd": opened.fileno(), "burst": 1, "payload_bytes": 100, **values}
        for wrong in (
            {"first": 1, "count": 2},
            {"first": 2, "count": 1},
            {"count": 2, "next": 2},
            {"count": 2**32 - 1},
        ):
            with pytest.raises(OSError, match="Invalid"):
                add(**common, **wrong)
        for outside in ({"offset_ns": 10}, {"period_ns": -1}, {"offset_ns": -2, "period_ns": 1}):
            with pytest.raises(ValueError, match="period_ns and offset_ns"):
                add(**common, count=2, **outside)
    engine.close()
