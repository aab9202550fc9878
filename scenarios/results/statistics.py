"""Statistics of repeated runs: confidence intervals, and tests whether one set of values is worse than another. Pure.

- A share of runs that passed has a Wilson score interval: it stays within 0 and 1, and is right for few runs and shares
  near the ends, where the usual normal one is not (Wilson 1927; Brown, Cai and DasGupta 2001).
- A mean has Student's interval. Campaigns are 5 to 50 runs; resampling from so few values makes intervals too narrow.
- Two sets of runs are compared by the Mann-Whitney U test, two runs of the same flows by the Wilcoxon signed-rank test
  on the flows' differences. Both rank: delays and losses are skewed and have outliers, of which a t test is not master.
  Units are runs or flows, never datagrams: those of a flow depend on each other, and a test that takes them as
  independent finds every difference significant.
- The difference that is told is the median of the differences, with a percentile bootstrap interval.
- Many figures are tested at once, so p-values are adjusted for the rate of false discoveries (Benjamini-Hochberg 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, nan

import numpy as np
from scipy import stats

from helsewan.lab.flows.records import Array

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of level ``CONFIDENCE``; NaN where there were too few values for one."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure spreads over runs: in how many it has a value, their mean with its interval, least and greatest, and
    the ``QUANTILES`` in between."""

    runs: int
    mean: float
    interval: Interval
    least: float
    greatest: float
    quantiles: tuple[float, ...]


def share_interval(passed: int, runs: int) -> Interval:
    """The Wilson interval of the probability to pass, from ``passed`` of ``runs``."""
    if not runs:
        return Interval(nan, nan)
    found = stats.binomtest(passed, runs).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of the values that are not NaN; None without any."""
    known = np.array([value for value in values if value == value])
    if not len(known):
        return None
    mean = float(known.mean())
    quantiles = tuple(float(value) for value in np.quantile(known, QUANTILES))
    return Spread(len(known), mean, _mean_interval(known), float(known.min()), float(known.max()), quantiles)


def _mean_interval(values: Array) -> Interval:
    if len(values) < 2:
        return Interval(nan, nan)
    error = float(stats.sem(values))
    if error == 0:
        return Interval(float(values.mean()), float(values.mean()))
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=values.mean(), scale=error)
    return Interval(float(low), float(high))


@dataclass(frozen=True, slots=True)
class Margin:
    """By how much a value may be worse: ``share`` of the value it is compared with, plus ``offset``."""

    share: float = 0.0
    offset: float = 0.0

    def worst(self, base: Array, more_is_worse: bool) -> Array:
        """The worst values that are still within the margin of ``base``."""
        sign = 1 if more_is_worse else -1
        return base + sign * (np.abs(base) * self.share + self.offset)


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of a figure from A to B: the typical value in each, the median difference (B less A) with its
    interval, the number of units on each side, and the p-value of the claim that B is no worse than A by more than the
    margin (NaN where there are too few units for any result to be significant)."""

    a: float
    b: float
    median: float
    interval: Interval
    units: tuple[int, int]
    p: float


def paired(a: Sequence[float], b: Sequence[float], margin: Margin, more_is_worse: bool, seed: int) -> Difference | None:
    """The difference of figures of the same flows in two runs, in the same order; those without a value in either are
    left out. None where nothing is left."""
    both = np.array([(x, y) for x, y in zip(a, b, strict=True) if x == x and y == y]).reshape(-1, 2)
    if not len(both):
        return None
    before, after = both[:, 0], both[:, 1]
    excess = after - margin.worst(before, more_is_worse)
    excess = excess if more_is_worse else -excess
    difference = after - before
    p = nan
    if 2.0 ** -len(both) < SIGNIFICANT:  # the least that the test can give
        p = float(stats.wilcoxon(excess, alternative="greater").pvalue) if (excess > 0).any() else 1.0
    interval = _median_interval(difference, seed)
    medians = float(np.median(before)), float(np.median(after)), float(np.median(difference))
    return Difference(*medians, interval, (len(both), len(both)), p)


def unpaired(
    a: Sequence[float], b: Sequence[float], margin: Margin, more_is_worse: bool, seed: int
) -> Difference | None:
    """The difference of a figure between two sets of runs; None where either has no value."""
    before, after = (np.array([value for value in values if value == value]) for values in (a, b))
    if not len(before) or not len(after):
        return None
    p = nan
    if 1 / comb(len(before) + len(after), len(after)) < SIGNIFICANT:  # the least that the test can give
        allowed = margin.worst(before, more_is_worse)
        p = float(stats.mannwhitneyu(after, allowed, alternative="greater" if more_is_worse else "less").pvalue)
    differences = np.subtract.outer(after, before).ravel()
    medians = float(np.median(before)), float(np.median(after)), float(np.median(differences))
    return Difference(*medians, _shift_interval(before, after, seed), (len(before), len(after)), p)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for how many there are (Benjamini-Hochberg); NaN stays."""
    known = [p for p in p_values if p == p]
    new = iter(stats.false_discovery_control(known)) if known else iter(())
    return [float(next(new)) if p == p else nan for p in p_values]


def fewer_pass(a: tuple[int, int], b: tuple[int, int]) -> float:
    """P-value of the claim that no fewer runs pass in B than in A, each given as (passed, runs): Fisher's exact test,
    one-sided."""
    table = [[b[0], b[1] - b[0]], [a[0], a[1] - a[0]]]
    return float(stats.fisher_exact(table, alternative="less").pvalue)


def _median_interval(values: Array, seed: int) -> Interval:
    if len(values) < 2:
        return Interval(nan, nan)
    rng = np.random.default_rng(seed)
    medians = np.median(rng.choice(values, (RESAMPLES, len(values))), axis=1)
    return _middle(medians)


def _shift_interval(a: Array, b: Array, seed: int) -> Interval:
    """Of the difference of medians, both sides resampled."""
    if len(a) < 2 or len(b) < 2:
        return Interval(nan, nan)
    rng = np.random.default_rng(seed)
    before, after = (np.median(rng.choice(values, (RESAMPLES, len(values))), axis=1) for values in (a, b))
    return _middle(after - before)


def _middle(resampled: Array) -> Interval:
    low, high = np.quantile(resampled, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Interval(float(low), float(high))
