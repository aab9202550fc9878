"""Figures from records: by hand, and against a reference that counts one datagram at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_case import EPOCH_NS, FLOW, arrival

from helsewan.lab.flows.flowspec import Expect, FlowSpec
from helsewan.lab.flows.records import RECORD, Array
from helsewan.scenarios.results.measure import Figures, Measurement, Window, measure

WHOLE = Window("run", 0, 1_000_000)
HERE, ELSEWHERE = FLOW.destination, FLOW.source  # receivers 0 and 1


def measured(flows: list[FlowSpec], *arrivals: Array, windows: tuple[Window, ...] = (WHOLE,)) -> Measurement:
    records = np.concatenate([np.zeros(0, RECORD), *arrivals])
    due = np.array([flow.due_before(flow.stop_us) for flow in flows])
    return measure(records, flows, [HERE, ELSEWHERE], windows, due)


def figures(*arrivals: Array, flow: FlowSpec = FLOW, window: Window = WHOLE) -> Figures:
    return measured([flow], *arrivals, windows=(window,)).figures[0, window.name]


def test_a_perfect_flow() -> None:
    result = figures(*(arrival(FLOW, seq, 8_000) for seq in range(50)))
    assert (result.sent, result.received, result.lost, result.duplicates, result.reordered) == (50, 50, 0, 0, 0)
    assert (result.loss, result.jitter_us, result.pdv_p99_us) == (0, 0, 0)
    assert result.delay_min_us == result.delay_mean_us == result.delay_p99_us == result.delay_max_us == 8_000
    assert result.gap_us == 20_000
    assert result.rate_bps == 50 * 172 * 8
    assert 4.3 < result.mos < 4.41


def test_nothing_arrived() -> None:
    result = figures()
    assert (result.sent, result.received, result.loss, result.gap_us, result.mos) == (50, 0, 1.0, 1_000_000, 1.0)
    assert isnan(result.delay_p50_us) and isnan(result.jitter_us)


def test_an_outage_is_lost_and_silent() -> None:
    lost = range(10, 20)
    result = figures(*(arrival(FLOW, seq, 5_000) for seq in range(50) if seq not in lost))
    assert (result.lost, result.loss) == (10, 0.2)
    assert result.gap_us == 11 * 20_000


def test_silence_counts_to_the_edges_of_the_phase() -> None:
    early = [arrival(FLOW, seq, 5_000) for seq in range(10)]  # the last is heard at 185 ms
    assert figures(*early, window=Window("during", 150_000, 600_000)).gap_us == 415_000
    assert figures(*early, window=Window("later", 300_000, 600_000)).gap_us == 300_000


def test_a_late_sender_is_not_the_networks_silence() -> None:
    stalled = [arrival(FLOW, seq, 5_000, late_us=200_000 if 10 <= seq < 20 else 0) for seq in range(50)]
    result = figures(*stalled)
    assert (result.gap_us, result.delay_max_us, result.lost) == (20_000, 5_000, 0)


def test_a_datagram_belongs_to_the_phase_it_came_due_in() -> None:
    slow = [arrival(FLOW, seq, 300_000) for seq in range(50)]
    before, after = Window("before", 0, 500_000), Window("after", 500_000, 1_000_000)
    result = measured([FLOW], *slow, windows=(before, after))
    assert [result.figures[0, name].received for name in ("before", "after")] == [25, 25]


def test_duplicates_and_reordering() -> None:
    order = [0, 1, 3, 2, 3, 4]  # 3 overtakes 2, and comes twice
    arrivals = [arrival(FLOW, seq, 0, rx_ns=EPOCH_NS + 10**9 + i) for i, seq in enumerate(order)]
    result = figures(*arrivals)
    assert (result.received, result.duplicates, result.reordered) == (5, 1, 1)


def test_a_probe_that_arrives_anywhere_is_a_leak() -> None:
    probe = replace(FLOW, expect=Expect.DENIED, codec="")
    result = figures(arrival(probe, 3, 5_000), arrival(probe, 4, 5_000, receiver=1), flow=probe)
    assert (result.leaked, result.misdelivered, result.mismarked) == (2, 0, 0)


def test_wrong_socket_and_wrong_marking_are_told_apart() -> None:
    result = figures(arrival(FLOW, 0, 5_000, receiver=1), arrival(FLOW, 1, 5_000, tos=0), arrival(FLOW, 2, 5_000))
    assert (result.misdelivered, result.mismarked, result.received, result.leaked) == (1, 1, 2, 0)


def test_ecn_bits_are_no_marking() -> None:
    assert figures(arrival(FLOW, 0, 5_000, tos=46 << 2 | 3)).mismarked == 0


def test_jitter_by_hand() -> None:
    """RFC 3550, 6.4.1: J = J + (|D| - J) / 16, for transit times 5, 7 and 6 ms."""
    result = figures(arrival(FLOW, 0, 5_000), arrival(FLOW, 1, 7_000), arrival(FLOW, 2, 6_000))
    first = 2_000 / 16
    assert result.jitter_us == pytest.approx(first + (1_000 - first) / 16)


def test_datagrams_beyond_the_jitter_buffer_are_lost_to_the_ear() -> None:
    prompt = [arrival(FLOW, seq, 5_000) for seq in range(50)]
    late = [arrival(FLOW, seq, 5_000 if seq % 2 else 60_000) for seq in range(50)]
    assert figures(*late).lost == 0
    assert figures(*late).mos < figures(*prompt).mos - 1


def test_what_never_came_due_was_not_sent() -> None:
    records = np.concatenate([arrival(FLOW, seq, 5_000) for seq in range(20)])
    result = measure(records, [FLOW], [HERE, ELSEWHERE], [WHOLE], np.array([20])).figures[0, "run"]
    assert (result.sent, result.lost) == (20, 0)


def test_records_of_no_flow_are_stray() -> None:
    assert measured([FLOW], arrival(FLOW, 0, 5_000), arrival(FLOW, 0, 5_000, flow=7)).stray == 1


def test_pooled_figures_weigh_datagrams_not_flows() -> None:
    other = replace(FLOW, id=1)
    long = [arrival(FLOW, seq, 4_000) for seq in range(50)]
    short = [arrival(other, seq, 20_000) for seq in range(10)]
    both = measured([FLOW, other], *long, *short).pool([0, 1], "run")
    assert (both.sent, both.received, both.lost) == (100, 60, 40)
    assert both.delay_mean_us == pytest.approx((50 * 4_000 + 10 * 20_000) / 60)
    assert both.delay_p50_us == 4_000
    assert both.gap_us == 1_000_000 - (9 * 20_000 + 20_000)


# --- against a reference that counts one datagram at a time --------------------------------------


def reference(flow: FlowSpec, arrivals: list[tuple[int, int, int]], window: Window) -> dict[str, float]:
    """Figures of (seq, delay in us, receiver), as a person would count them."""
    interval_us = flow.interval_ns // 1000
    dues = {seq: flow.start_us + seq // flow.burst * interval_us for seq in range(flow.due_before(flow.stop_us))}
    inside = {seq for seq, due in dues.items() if window.start_us <= due < window.end_us}
    heard = sorted(
        (dues[seq] + delay, order, seq, delay) for order, (seq, delay, where) in enumerate(arrivals) if not where
    )
    seen: set[int] = set()
    counts = {"sent": len(inside), "duplicates": 0, "reordered": 0, "received": 0, "misdelivered": 0}
    highest, delays, jitter, previous = -1, [], 0.0, None
    for _, _, seq, delay in heard:
        if seq in inside:
            counts["duplicates"] += seq in seen
            if seq not in seen:
                counts["received"] += 1
                counts["reordered"] += seq < highest
                delays.append(delay)
                if previous is not None:
                    jitter += (abs(delay - previous) - jitter) / 16
                previous = delay
        if seq not in seen:
            highest = max(highest, seq)
        seen.add(seq)
    counts["misdelivered"] = sum(where and seq in inside for seq, _, where in arrivals)
    return {**counts, "lost": len(inside) - len(delays), "delay_sum": sum(delays), "jitter": jitter}


@given(
    st.lists(st.tuples(st.integers(0, 29), st.integers(0, 90_000), st.integers(0, 1)), max_size=60),
    st.integers(1, 3),
    st.integers(0, 30_000),
    st.tuples(st.integers(0, 400_000), st.integers(0, 400_000)),
)
def test_counts_agree_with_the_reference(
    raw: list[tuple[int, int, int]], burst: int, start_us: int, edges: tuple[int, int]
) -> None:
    flow = replace(FLOW, burst=burst, start_us=start_us, stop_us=start_us + 200_000)
    window = Window("w", min(edges), max(edges))
    sent = flow.due_before(flow.stop_us)
    # Unequal arrival times, as two datagrams on one line have.
    arrivals = [(seq % sent, delay * 100 + i, where) for i, (seq, delay, where) in enumerate(raw)]
    result = figures(
        *(arrival(flow, seq, delay, receiver=where) for seq, delay, where in arrivals), flow=flow, window=window
    )
    expected = reference(flow, arrivals, window)
    for name in ("sent", "received", "lost", "duplicates", "reordered", "misdelivered"):
        assert getattr(result, name) == expected[name], name
    if result.received:
        assert result.delay_mean_us * result.received == pytest.approx(expected["delay_sum"])
    if result.received > 1:
        assert result.jitter_us == pytest.approx(expected["jitter"])


@given(st.sets(st.integers(0, 49)), st.integers(0, 900_000), st.integers(1, 500_000))
def test_silence_agrees_with_a_walk_over_time(arrived: set[int], begin_us: int, length_us: int) -> None:
    window = Window("w", begin_us, min(begin_us + length_us, 1_000_000))
    result = figures(*(arrival(FLOW, seq, 5_000) for seq in arrived), window=window)
    heard = [t for t in sorted(seq * 20_000 + 5_000 for seq in arrived) if window.start_us <= t < window.end_us]
    edges = [window.start_us, *heard, window.end_us]
    assert result.gap_us == max(b - a for a, b in pairwise(edges))
