"""The benchmarks' judgement of records: what is not there must not pass for a short silence."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.repair.disruption import INTERVAL_NS, missing, overtaken, silence
from helsewan.lab.flows.records import RECORD, Array


def _arrived(numbers: list[int], at_us: list[int]) -> Array:
    records = np.zeros(len(numbers), RECORD)
    records["seq"], records["rx_ns"] = numbers, np.array(at_us) * 1000
    return records[np.argsort(records["rx_ns"], kind="stable")]


def _paced(numbers: list[int], delay_us: int = 5_000) -> list[int]:
    return [number * INTERVAL_NS // 1000 + delay_us for number in numbers]


def test_the_longest_silence_is_found_with_the_packet_that_ended_it() -> None:
    numbers = [*range(100), *range(120, 300), *range(305, 400)]
    assert silence(_arrived(numbers, _paced(numbers))) == (21 * INTERVAL_NS, 120)


def test_packets_that_come_late_and_all_come_are_no_gap() -> None:
    numbers = [*range(100), *range(103, 300)]
    at_us = [at + (50_000 if 200 <= n < 250 else 0) for n, at in zip(numbers, _paced(numbers), strict=True)]
    assert silence(_arrived(numbers, at_us)) == (4 * INTERVAL_NS, 103)


def test_where_nothing_is_lost_the_longest_silence_is_the_gap() -> None:
    numbers = list(range(100))
    at_us = [at + (7_000 if n >= 50 else 0) for n, at in zip(numbers, _paced(numbers), strict=True)]
    assert silence(_arrived(numbers, at_us)) == (8 * INTERVAL_NS, 50)


@pytest.mark.parametrize("count", [0, 1])
def test_a_flow_of_which_nothing_arrives_has_no_silence_but_an_error(count: int) -> None:
    with pytest.raises(RuntimeError, match="nothing was measured"):
        silence(_arrived(list(range(count)), _paced(list(range(count)))))


def test_what_was_due_and_never_came_is_missing_at_both_ends_too() -> None:
    numbers = [*range(10, 20), *range(25, 30)]
    found = missing(_arrived(numbers, _paced(numbers)), range(8, 32))
    assert found.tolist() == [8, 9, 20, 21, 22, 23, 24, 30, 31]


def test_no_record_at_all_means_that_all_is_missing_and_none_overtaken() -> None:
    nothing = _arrived([], [])
    assert len(missing(nothing, range(5))) == 5
    assert overtaken(nothing) == 0


@pytest.mark.parametrize(("shorter_us", "expected"), [(0, 0), (900, 0), (1_100, 1), (4_600, 4), (8_600, 8)])
def test_a_way_that_is_shorter_lets_as_many_be_overtaken_as_fit_into_the_difference(
    shorter_us: int, expected: int
) -> None:
    before, after = list(range(100)), list(range(100, 200))
    assert overtaken(_arrived(before + after, _paced(before, 10_000) + _paced(after, 10_000 - shorter_us))) == expected


def test_a_packet_that_comes_twice_is_not_lost_and_not_overtaken() -> None:
    arrived = _arrived([0, 1, 1, 2], [0, 1_000, 1_500, 2_000])
    assert overtaken(arrived) == 0
    assert not len(missing(arrived, range(3)))
