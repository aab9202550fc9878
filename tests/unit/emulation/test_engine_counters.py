"""The link engine's counters for each class of each pipe, and figures computed from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_bench import Bench, ipv4
from hypothesis import given
from hypothesis import strategies as st

from helsewan.emulation.links.counters import (
    CLASS_BINS,
    CLASS_LIMITS_NS,
    CLASS_UNIT_NS,
    bin_limits_ns,
    counters_bytes,
    quantile_us,
)
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel

MS = 1_000_000
SLOW = PipeModel(rate_bps=8_000_000, delay_us=0, overhead_bytes=0)  # a byte a microsecond


def test_each_class_has_its_own_counts() -> None:
    bench = Bench()
    bench.configure(3)
    bench.lay(replace(SLOW, queues=(ClassQueue(), ClassQueue(), ClassQueue(limit_bytes=1_000))))
    frames = [(0, ipv4(500, dscp)) for dscp in (0, 2, 2, 2, 0, 2)]
    assert len(bench.run(frames)) == 4
    assert bench.class_counts("frames_in")[:3] == [2, 0, 4]
    assert bench.class_counts("bytes_in")[:3] == [1000, 0, 2000]
    assert bench.class_counts("frames_sent")[:3] == [2, 0, 2]
    assert bench.class_counts("bytes_sent")[:3] == [1000, 0, 1000]
    assert bench.class_counts("drop_tail")[:3] == [0, 0, 2]


def test_waiting_is_measured_from_arrival_to_the_first_bit() -> None:
    bench = Bench()
    bench.lay(SLOW)
    bench.run([(0, ipv4(1000))] * 4)
    record = bench.counters.of_classes(0)[0]
    assert record["queue_ns"] == 6 * MS
    assert record["queue_max_ns"] == 3 * MS
    waits_ns = np.repeat(CLASS_LIMITS_NS, record["queue_delay"].astype(int)).tolist()
    assert waits_ns[0] == CLASS_UNIT_NS  # the first did not wait: below one unit
    assert all(wait * MS < limit <= wait * MS * 5 / 4 for wait, limit in enumerate(waits_ns[1:], start=1))


def test_records_come_with_the_first_frame_of_a_class() -> None:
    bench = Bench()
    bench.configure(8)
    bench.lay(replace(SLOW, queues=(ClassQueue(),) * 8))
    assert len(bench.counters.classes) == 0
    assert bench.counters.of_classes(0) == {}
    bench.run([(0, ipv4(100, dscp)) for dscp in (5, 2, 5)])
    assert len(bench.counters.classes) == 2
    assert sorted(bench.counters.of_classes(0)) == [2, 5]
    assert bench.counters.classes["frames_in"].tolist() == [2, 1]


def test_memory_for_a_nation_is_spanned_but_not_touched() -> None:
    """Half a gigabyte of address space; the classes' part of it is most."""
    assert counters_bytes(20_000, 40_000) < 600_000_000


def test_bins_tile_the_times() -> None:
    limits = CLASS_LIMITS_NS.tolist()
    assert len(limits) == CLASS_BINS
    assert limits[:6] == [CLASS_UNIT_NS * units for units in (1, 2, 3, 4, 5, 6)]
    assert limits[-2] == CLASS_UNIT_NS * 7 << 20  # 7.5 s; beyond is the last
    assert (bin_limits_ns()[:CLASS_BINS] * np.uint64(CLASS_UNIT_NS) == CLASS_LIMITS_NS).all()


@given(st.lists(st.integers(0, 8_000_000_000), min_size=1, max_size=60), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_quantiles_are_a_bin_above_the_truth_at_most(times_ns: list[int], share: float) -> None:
    histogram = np.zeros(CLASS_BINS, int)
    for time_ns in times_ns:
        histogram[min(int(np.searchsorted(CLASS_LIMITS_NS, time_ns, side="right")), CLASS_BINS - 1)] += 1
    exact_us = sorted(times_ns)[max(0, int(np.ceil(share * len(times_ns))) - 1)] / 1000
    assert exact_us < quantile_us(histogram, share) <= max(exact_us * 1.25, exact_us + CLASS_UNIT_NS / 1000) + 0.001


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_nothing_has_no_delay(share: float) -> None:
    assert quantile_us(np.zeros(CLASS_BINS, int), share) == 0.0
