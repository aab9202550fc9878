"""Intervals and tests of repeated runs, against published values and by their properties."""

from __future__ import annotations

from itertools import pairwise
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.scenarios.repetition.seeds import derived_seed
from helsewan.scenarios.results.statistics import (
    Margin,
    adjusted,
    fewer_pass,
    paired,
    share_interval,
    spread,
    unpaired,
)
from helsewan.topology.model import MOST_SEED

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=30)
NONE = Margin()


@pytest.mark.parametrize(
    ("passed", "runs", "low", "high"),
    [  # Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(passed: int, runs: int, low: float, high: float) -> None:
    found = share_interval(passed, runs)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_no_run_has_no_interval() -> None:
    assert isnan(share_interval(0, 0).low)
    assert spread([nan, nan]) is None


def test_a_mean_has_students_interval() -> None:
    """Of 1 to 5: 3 +- 2.776 * 1.581 / sqrt(5), 2.776 being Student's quantile for 4 degrees of freedom."""
    found = spread([1.0, 2.0, nan, 3.0, 4.0, 5.0])
    assert found is not None
    assert found.runs == 5
    assert found.interval.low == pytest.approx(3 - 1.9631, abs=1e-3)
    assert found.quantiles[2] == 3.0
    alone = spread([7.0])
    assert alone is not None and isnan(alone.interval.low)


@given(VALUES)
def test_a_spread_is_in_order(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    ordered = [found.least, *found.quantiles, found.greatest]
    assert all(a <= b + 1e-6 for a, b in pairwise(ordered))
    assert found.least - 1e-6 <= found.mean <= found.greatest + 1e-6


# --- tests ------------------------------------------------------------------------------------------------


def test_flows_that_all_got_worse_are_worse() -> None:
    before = [10.0 + n for n in range(12)]
    found = paired(before, [value * 1.2 for value in before], Margin(share=0.1), True, 1)
    assert found is not None and found.p < 0.01
    assert found.interval.low <= found.median <= found.interval.high
    within = paired(before, [value * 1.2 for value in before], Margin(share=0.25), True, 1)
    assert within is not None and within.p > 0.99
    by_offset = paired(before, [value + 5 for value in before], Margin(offset=6), True, 1)
    assert by_offset is not None and by_offset.p > 0.99


def test_of_some_metrics_less_is_worse() -> None:
    before = [4.3 + n / 100 for n in range(12)]
    worse = [value - 0.5 for value in before]
    assert (found := paired(before, worse, NONE, False, 1)) is not None and found.p < 0.01
    assert (found := paired(before, worse, NONE, True, 1)) is not None and found.p == 1
    assert (found := unpaired(before, worse, NONE, False, 1)) is not None and found.p < 0.01


def test_too_few_units_are_never_significant() -> None:
    assert (found := paired([1, 2, 3, 4], [9, 9, 9, 9], NONE, True, 1)) is not None and isnan(found.p)
    assert (found := unpaired([1, 2, 3], [7, 8, 9], NONE, True, 1)) is not None and isnan(found.p)
    assert (found := unpaired([1, 2, 3, 4], [7, 8, 9, 10], NONE, True, 1)) is not None and found.p < 0.05
    assert paired([nan], [1.0], NONE, True, 1) is None


@given(VALUES, st.sampled_from([True, False]))
def test_the_same_values_are_not_worse(values: list[float], more_is_worse: bool) -> None:
    for test in (paired, unpaired):
        found = test(values, values, NONE, more_is_worse, 1)
        assert found is not None
        assert isnan(found.p) or found.p > 0.4
        assert found.median == 0


def test_the_mann_whitney_test_errs_as_often_as_it_says() -> None:
    """Of 400 pairs of campaigns without any difference about one in twenty is called worse: 20, and four standard
    deviations of that number (4.4) more or less."""
    rng = np.random.default_rng(7)
    found = [unpaired(list(rng.exponential(1, 10)), list(rng.exponential(1, 10)), NONE, True, 1) for _ in range(400)]
    wrong = sum(each.p < 0.05 for each in found if each is not None)
    assert 3 <= wrong <= 38


def test_p_values_are_adjusted_for_their_number() -> None:
    """Benjamini and Hochberg 1995, section 3.2: of 15 tests four are significant at 5 %."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324]
    p_values += [0.4262, 0.5719, 0.6528, 0.759, 1.0]
    assert sum(p < 0.05 for p in adjusted(p_values)) == 4
    assert [isnan(p) for p in adjusted([nan, 0.01, nan])] == [True, False, True]


def test_fewer_passes_are_told_from_chance() -> None:
    """Fisher's tea: 4 of 4 against 0 of 4 has the probability 1/70."""
    assert fewer_pass((4, 4), (0, 4)) == pytest.approx(1 / 70)
    assert fewer_pass((10, 10), (9, 10)) == pytest.approx(0.5)


# --- seeds ------------------------------------------------------------------------------------------------


@given(st.integers(0, MOST_SEED), st.integers(1, 1000))
def test_seeds_are_derived(seed: int, number: int) -> None:
    found = derived_seed(seed, number)
    assert 0 <= found <= MOST_SEED
    assert found == derived_seed(seed, number)
    assert (found == seed) is (number == 1)


def test_seeds_of_a_campaign_differ() -> None:
    assert len({derived_seed(2006, number) for number in range(1, 1001)}) == 1000
