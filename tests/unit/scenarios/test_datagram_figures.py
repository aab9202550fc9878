"""Figures of many flows computed together, against a reference that walks over one flow's datagrams at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_case import EPOCH_NS, FLOW, arrival, default_case

from helsewan.lab.flows.flowspec import FlowKind, FlowSpec
from helsewan.lab.flows.records import RECORD, Array
from helsewan.lab.flows.schedule import schedule_of
from helsewan.scenarios.results.datagrams import arrivals as arrivals_module
from helsewan.scenarios.results.datagrams.availability import block_edges_ns
from helsewan.scenarios.results.measure import Figures, Measurement, Window, measure
from helsewan.scenarios.results.series import series

HERE, ELSEWHERE = FLOW.destination, FLOW.source  # receivers 0 and 1
VIDEO = replace(FLOW, kind=FlowKind.VIDEO, codec="", interval_ns=40_000_000, burst=2)
TABLE = schedule_of([0, 5_000_000, 5_000_000, 90_000_000], bytes_=200, marker=[0, 1, 0, 1], period_ns=100_000_000)
DURATION_US = 1_000_000


def measured(flows: list[FlowSpec], records: list[Array], *windows: Window) -> Measurement:
    due = np.array([flow.due_before(flow.stop_us) for flow in flows])
    return measure(np.concatenate([np.zeros(0, RECORD), *records]), flows, [HERE, ELSEWHERE], windows, due)


# --- the reference -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrived:
    """An arrival of a datagram at its socket: number, delay in us."""

    seq: int
    delay_us: int


def dues_us(flow: FlowSpec) -> list[float]:
    count = flow.due_before(flow.stop_us)
    return flow.due_times(np.arange(count)).tolist() if count else []


def runs(lost: list[bool]) -> list[int]:
    """Lengths of the runs of True."""
    text = "".join("x" if each else " " for each in lost)
    return [len(run) for run in text.split()]


def extents(order: list[int]) -> dict[int, int]:
    """Of each reordered number, by how many places it came too late (RFC 4737, 4.2.1)."""
    found = {}
    for place, seq in enumerate(order):
        earlier = [before for before in range(place) if order[before] > seq]
        if earlier:
            found[seq] = place - earlier[0]
    return found


def freezes_of(flow: FlowSpec, dues: list[float], heard: dict[int, int], window: Window) -> tuple[int, float]:
    """Freezes of a flow whose frames are bursts."""
    begin = flow.start_us + min(heard.values(), default=0)
    end = max(flow.stop_us, begin)
    shown = [float(begin)]
    latest = 0.0
    for first in range(0, len(dues), flow.burst):
        frame = range(first, first + flow.burst)
        if all(seq in heard for seq in frame):
            ready = max(dues[seq] + heard[seq] for seq in frame)
            if ready >= latest:
                shown.append(min(ready, end))
                latest = ready
    shown.append(float(end))
    delta = flow.interval_ns / 1000
    long = [(a, b) for a, b in pairwise(shown) if b - a >= max(3 * delta, delta + 150_000)]
    inside = [min(b, window.end_us) - max(a, window.start_us) for a, b in long]
    inside = [each for each in inside if each > 0]
    return len(inside), sum(inside)


def reference(flow: FlowSpec, came: list[Arrived], window: Window) -> dict[str, float]:
    dues = dues_us(flow)
    order = sorted(came, key=lambda one: dues[one.seq] + one.delay_us)
    heard: dict[int, int] = {}
    for one in order:
        heard.setdefault(one.seq, one.delay_us)
    own = [seq for seq, due in enumerate(dues) if window.start_us <= due < window.end_us]
    delays = [heard[seq] for seq in own if seq in heard]
    lost = runs([seq not in heard for seq in own])
    late = {seq: extent for seq, extent in extents(list(heard)).items() if seq in own}
    seconds = [[seq for seq, due in enumerate(dues) if second <= due / 1e6 < second + 1] for second in range(3)]
    bad = [
        second
        for second, numbers in enumerate(seconds)
        if numbers and sum(seq not in heard for seq in numbers) > 0.2 * len(numbers)
    ]
    unavailable = sum(max(min((s + 1) * 10**6, window.end_us) - max(s * 10**6, window.start_us), 0) for s in bad)
    count, time_us = freezes_of(flow, dues, heard, window) if flow.kind is FlowKind.VIDEO else (nan, nan)

    def quantile(share: float) -> float:
        return float(np.percentile(delays, share * 100)) if delays else nan

    return {
        "sent": len(own),
        "received": len(delays),
        "loss_bursts": len(lost),
        "loss_burst_max": max(lost, default=0),
        "loss_burst_mean": sum(lost) / len(lost) if lost else nan,
        "reordered": len(late),
        "reordering": len(late) / len(delays) if delays else nan,
        "reordering_extent_max": max(late.values(), default=0),
        "delay_min_us": quantile(0),
        "delay_p50_us": quantile(0.5),
        "delay_p95_us": quantile(0.95),
        "delay_p99_us": quantile(0.99),
        "delay_max_us": quantile(1),
        "unavailable_us": unavailable,
        "freezes": count,
        "freeze_time_us": time_us,
    }


def assert_equal(found: Figures, expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, nan_ok=True, abs=1e-6), name


FLOWS = st.lists(
    st.builds(
        lambda base, burst, start_us, stop_us, table, offset: replace(
            base,
            burst=1 if table else burst,
            start_us=start_us,
            stop_us=stop_us,
            kind=FlowKind.MESSAGES if table else base.kind,
            schedule=TABLE if table else None,
            offset_ns=offset if table else 0,
        ),
        st.sampled_from([FLOW, VIDEO]),
        st.integers(1, 3),
        st.integers(0, 300_000),
        st.integers(300_001, 1_500_000),
        st.booleans(),
        st.integers(0, 250_000_000),
    ),
    min_size=1,
    max_size=4,
)
CAME = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 900)), max_size=60)


@given(FLOWS, CAME, st.tuples(st.integers(0, 1_500_000), st.integers(0, 1_500_000)), st.sampled_from([1, 5, 1 << 18]))
def test_figures_per_flow_equal_the_reference(
    flows: list[FlowSpec], raw: list[tuple[int, int, int]], edges: tuple[int, int], batch: int
) -> None:
    flows = [replace(flow, id=id_) for id_, flow in enumerate(flows)]
    windows = [Window("run", 0, 2_000_000), Window("part", min(edges), max(edges))]
    came: dict[int, list[Arrived]] = {flow.id: [] for flow in flows}
    records = []
    for number, (flow_id, seq, delay) in enumerate(raw):
        flow = flows[flow_id % len(flows)]
        count = flow.due_before(flow.stop_us)
        if not count:
            continue
        seq, delay_us = seq % count, delay * 1000 + number  # no two arrive at the same time
        came[flow.id].append(Arrived(seq, delay_us))
        tx_ns = EPOCH_NS + round(flow.due_times(np.array([seq]))[0] * 1000)
        records.append(arrival(flow, seq, 0, tx_ns=tx_ns, rx_ns=tx_ns + delay_us * 1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrivals_module, "BATCH_RECORDS", batch)
        result = measured(flows, records, *windows)
    for flow in flows:
        for window in windows:
            assert_equal(result.figures[flow.id, window.name], reference(flow, came[flow.id], window))


@given(CAME, st.integers(1, 400_000))
def test_series_add_up_to_the_figures(raw: list[tuple[int, int, int]], bin_us: int) -> None:
    flows = [replace(FLOW, id=id_, class_name=name, stop_us=800_000) for id_, name in enumerate(["a", "b", "a", "c"])]
    records = [arrival(flows[flow], seq % 40, delay * 1000) for flow, seq, delay in raw]
    result = measured(flows, records, Window("run", 0, DURATION_US))
    found = series(result.samples, {flow.id: flow.class_name for flow in flows}, DURATION_US, bin_us)
    assert found.groups == ("a", "b", "c")
    for row, ids in enumerate(([0, 2], [1], [3])):
        together = result.pool(ids, "run")
        assert (found.sent[row].sum(), found.received[row].sum()) == (together.sent, together.received)
        assert np.nanmax(found.delay_max_us[row], initial=-1) == (together.delay_max_us if together.received else -1)
    assert (found.lost >= 0).all() and found.sent.shape[1] == -(-DURATION_US // bin_us)


def test_a_bin_of_a_series_has_what_was_due_in_it() -> None:
    records = [arrival(FLOW, seq, 250_000 if seq == 7 else 3_000) for seq in range(50) if seq != 12]
    found = series(measured([FLOW], records, Window("run", 0, DURATION_US)).samples, {0: "it"}, DURATION_US)
    assert found.sent[0].tolist() == [5] * 10
    assert found.lost[0].tolist() == [0, 0, 1, *[0] * 7]
    assert found.delay_max_us[0, 1] == 250_000 and found.delay_p50_us[0, 1] == 3_000
    assert found.start_us[:3].tolist() == [0, 100_000, 200_000]


# --- single figures by hand ----------------------------------------------------------------------


def test_loss_periods_are_cut_at_the_edges_of_the_phase() -> None:
    """RFC 3357: 3 to 9 are one loss period, 20 another; the phase sees 5 to 9 of the first."""
    records = [arrival(FLOW, seq, 1_000) for seq in range(50) if not 3 <= seq <= 9 and seq != 20]
    result = measured([FLOW], records, Window("run", 0, DURATION_US), Window("part", 100_000, 500_000))
    whole, part = (result.figures[0, name] for name in ("run", "part"))
    assert (whole.loss_bursts, whole.loss_burst_max, whole.loss_burst_mean) == (2, 7, 4)
    assert (part.loss_bursts, part.loss_burst_max, part.loss_burst_mean) == (2, 5, 3)


def test_reordering_by_the_example_of_the_rfc() -> None:
    """RFC 4737, table 1 (its numbers count from 1): 4 arrives after 5, 6, 7 and 8: one of ten reordered, extent 4."""
    order = [1, 2, 3, 5, 6, 7, 8, 4, 9, 10]
    records = [arrival(FLOW, seq, 0, rx_ns=EPOCH_NS + 10**9 + place) for place, seq in enumerate(order)]
    result = measured([FLOW], records, Window("run", 0, DURATION_US)).figures[0, "run"]
    assert (result.reordered, result.reordering, result.reordering_extent_max) == (1, 0.1, 4)


def test_a_picture_freezes_while_frames_miss_a_datagram() -> None:
    """Frames are due every 40 ms: 10 to 14 miss one datagram each, so 9 is shown for 240 ms."""
    lost = {2 * frame + 1 for frame in range(10, 15)}
    records = [arrival(VIDEO, seq, 1_000) for seq in range(50) if seq not in lost]
    result = measured([VIDEO], records, Window("run", 0, DURATION_US), Window("part", 0, 500_000))
    whole, part = (result.figures[0, name] for name in ("run", "part"))
    assert (whole.freezes, whole.freeze_time_us) == (1, 240_000)
    assert (part.freezes, part.freeze_time_us) == (1, 500_000 - 361_000)
    assert isnan(measured([FLOW], [], Window("run", 0, DURATION_US)).figures[0, "run"].freezes)


def test_three_frames_late_are_no_freeze() -> None:
    """150 ms and one frame's time, 190 ms, is the least freeze at 25 frames a second."""
    lost = {2 * frame for frame in range(10, 13)}  # 160 ms from 9 to 13
    records = [arrival(VIDEO, seq, 1_000) for seq in range(50) if seq not in lost]
    assert measured([VIDEO], records, Window("run", 0, DURATION_US)).figures[0, "run"].freezes == 0


def test_frames_of_a_table_end_with_the_marker() -> None:
    """Two frames of two datagrams in 100 ms: without the second frames the others are 100 ms apart, without all of
    300 ms the picture freezes."""
    flow = replace(VIDEO, schedule=TABLE, burst=1, interval_ns=50_000_000)

    def freezes(kept: list[int]) -> tuple[float, float]:
        records = []
        for seq in kept:
            tx_ns = EPOCH_NS + round(flow.due_times(np.array([seq]))[0] * 1000)
            records.append(arrival(flow, seq, 0, tx_ns=tx_ns, rx_ns=tx_ns + 1_000_000))
        found = measured([flow], records, Window("run", 0, DURATION_US)).figures[0, "run"]
        return found.freezes, found.freeze_time_us

    assert freezes(list(range(40))) == (0, 0)
    assert freezes([seq for seq in range(40) if seq % 4 < 2]) == (0, 0)
    assert freezes([seq for seq in range(40) if not 12 <= seq < 24]) == (1, 315_000)


def test_a_planned_room_that_loses_nothing_does_not_freeze() -> None:
    """Whatever its frames' sizes and order; without every third frame's last datagram it does not either, for two of
    three frames are shown."""
    _, _, traffic = default_case()
    rooms = [flow for flow in traffic.flows if flow.kind is FlowKind.VIDEO][:2]
    flows = [replace(flow, id=id_, destination=HERE) for id_, flow in enumerate(rooms)]
    records = []
    for flow in flows:
        seq = np.arange(flow.due_before(flow.stop_us))
        own = np.zeros(len(seq), RECORD)
        own["flow"], own["seq"], own["tos"] = flow.id, seq, flow.dscp << 2
        own["tx_ns"] = EPOCH_NS + np.round(flow.due_times(seq) * 1000).astype(np.int64)
        own["rx_ns"] = own["tx_ns"] + 7_000_000
        marked = np.flatnonzero(flow.schedule.table["marker"][(seq + flow.first_entry) % len(flow.schedule.table)])
        records += [own] if flow.id == 0 else [np.delete(own, marked[::3])]
    found = measured(flows, records, Window("run", 0, 32_000_000))
    assert [found.figures[id_, "run"].freezes for id_ in (0, 1)] == [0, 0]
    assert found.figures[1, "run"].lost > 100


def test_seconds_are_judged_by_all_flows_together() -> None:
    """Of the first second, flow 0 loses all and flow 1 nothing: 50 % of both. Of the second, 10 % of flow 1."""
    flows = [replace(FLOW, id=id_, stop_us=2_000_000) for id_ in (0, 1)]
    records = [arrival(flows[0], seq, 1_000) for seq in range(50, 100)]
    records += [arrival(flows[1], seq, 1_000) for seq in range(100) if seq < 50 or seq % 10]
    result = measured(flows, records, Window("run", 0, 2_000_000), Window("part", 500_000, 1_700_000))
    own = [result.figures[id_, "run"].unavailable_us for id_ in (0, 1)]
    assert own == [1_000_000, 0]
    assert result.pool([0, 1], "run").unavailable_us == 1_000_000
    assert result.pool([0, 1], "part").unavailable_us == 500_000


def test_blocks_of_long_runs_are_longer() -> None:
    """An hour has its seconds, a day blocks of 24 s."""
    hour, day = block_edges_ns(3_600 * 10**9), block_edges_ns(24 * 3_600 * 10**9)
    assert (len(hour) - 1, hour[1]) == (3_600, 10**9) and (len(day) - 1, day[1]) == (3_600, 24 * 10**9)
    assert block_edges_ns(0).tolist() == [0, 10**9] and block_edges_ns(10**9 + 1)[-1] == 2 * 10**9


def test_bursts_and_late_datagrams_are_heard() -> None:
    """Ten of fifty lost one after the other sound worse than every fifth; one later than the buffer is lost as well."""
    prompt = [arrival(FLOW, seq, 5_000) for seq in range(50)]

    def mos(records: list[Array]) -> float:
        return measured([FLOW], records, Window("run", 0, DURATION_US)).figures[0, "run"].mos

    apart, burst = mos([one for one in prompt if one["seq"] % 5]), mos(prompt[:20] + prompt[30:])
    assert burst < apart < mos(prompt)
    late = [arrival(FLOW, 7, 45_001)]
    assert mos(prompt[:7] + late + prompt[8:]) == mos(prompt[:7] + prompt[8:])


def test_bytes_are_those_that_arrived() -> None:
    records = [arrival(FLOW, 0, 1_000, bytes=1000), arrival(FLOW, 1, 1_000, bytes=250)]
    assert measured([FLOW], records, Window("run", 0, DURATION_US)).figures[0, "run"].rate_bps == 10_000
