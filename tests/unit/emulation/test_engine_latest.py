"""The links with the latest deliveries in a second, from copies of counters that only grow."""

from __future__ import annotations

import numpy as np

from helsewan.emulation.links.counters import CLASS_BINS, CLASS_LIMITS_NS, QUEUES, Latest

MS = 1_000_000


def latest(*pipes: tuple[int, dict[int, int]]) -> Latest:
    """Pipes with their latest delivery (ns) and, by how late (ns), how many deliveries: all of one class each."""
    record = np.zeros((len(pipes), QUEUES), np.int64)
    record[:, 3] = np.arange(1, len(pipes) + 1)
    histograms = np.zeros((len(pipes), CLASS_BINS), np.int64)
    for pipe, (_, deliveries) in enumerate(pipes):
        for late_ns, number in deliveries.items():
            histograms[pipe, np.searchsorted(CLASS_LIMITS_NS, late_ns, side="right")] += number
    return Latest(np.array([most for most, _ in pipes], np.int64), record, histograms)


def test_a_line_later_than_ever_is_told_exactly() -> None:
    before = latest((3 * MS, {3 * MS: 1}))
    assert latest((47 * MS, {3 * MS: 1, 47 * MS: 1})).since(before).tolist() == [47 * MS]


def test_a_line_late_again_but_less_is_told_by_its_bin() -> None:
    before = latest((50 * MS, {50 * MS: 1}))
    (late_ns,) = latest((50 * MS, {50 * MS: 1, 41 * MS: 2})).since(before)
    assert 0.8 * 41 * MS <= late_ns <= 41 * MS


def test_a_line_without_deliveries_is_not_told() -> None:
    before = latest((50 * MS, {50 * MS: 1}), (MS, {MS: 5}))
    assert latest((50 * MS, {50 * MS: 1}), (MS, {MS: 6})).since(before)[0] == 0


def test_a_line_that_is_new_is_told() -> None:
    before = latest((MS, {MS: 1}))
    assert latest((MS, {MS: 1}), (9 * MS, {9 * MS: 1})).since(before).tolist() == [0, 9 * MS]
