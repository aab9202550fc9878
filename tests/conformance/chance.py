"""Statistics that judge what chance decided against the model. Each returns a p-value: how likely a line that is as
the model says would differ from it by this much or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby, product
from math import erfc, log, sqrt

import numpy as np
from scipy import stats

from helsewan.emulation.links.pipe_model import PARETO_SHAPE, Distribution, Jitter, Loss

WORD = 3  # fates in a row that are looked at together
FORGOTTEN = 0.01  # of the state at a word's start, by the start of the next one
LEAST_EXPECTED = 5  # in each cell of a chi-square test (Cochran, 1954)


def shares(hits: int, trials: int, probability: float) -> float:
    """Independent trials against their probability (exact binomial test)."""
    return float(stats.binomtest(hits, trials, probability).pvalue)


def fates(lost: Sequence[bool], loss: Loss) -> float:
    """Losses in order against the model: chi-square over words of three fates in a row, taken so far apart that the
    line has forgotten in between. Words show bursts as well as the mean."""
    memory = abs(1 - loss.p - loss.r) if loss.p else 0.0
    apart = 0 if memory < FORGOTTEN else int(log(FORGOTTEN) / log(memory)) + 1
    starts = range(apart, len(lost) - WORD + 1, WORD + apart)
    seen = Counter(tuple(lost[start : start + WORD]) for start in starts)
    words = list(product((False, True), repeat=WORD))
    expected = [word_probability(word, loss) * len(starts) for word in words]
    return chi_square([seen[word] for word in words], expected)


def word_probability(word: Sequence[bool], loss: Loss) -> float:
    """How likely this row of fates is in the long run: the forward algorithm over the line's two states."""
    bad = loss.p / (loss.p + loss.r) if loss.p else 0.0
    weight = np.array([1 - bad, bad])
    turn = np.array([[1 - loss.p, loss.p], [loss.r, 1 - loss.r]])
    chance = np.array([loss.good, loss.bad])
    for lost in word:
        weight = (weight * (chance if lost else 1 - chance)) @ turn
    return float(weight.sum())


def bursts(lost: Sequence[bool], loss: Loss) -> float:
    """Lengths of losses in a row where the bad state loses all and the good one none: geometric, of mean 1/r."""
    lengths = Counter(len(list(run)) for fate, run in groupby(lost) if fate)
    longest = max(lengths, default=1)
    total = sum(lengths.values())
    expected = [total * loss.r * (1 - loss.r) ** (length - 1) for length in range(1, longest + 1)]
    expected.append(total * (1 - loss.r) ** longest)
    return chi_square([lengths[length] for length in range(1, longest + 2)], expected)


def jitter(seen_us: Sequence[float], model: Jitter) -> float:
    """Variations of the delay against their distribution (Kolmogorov and Smirnov). The ends beyond four standard
    deviations hold less than one draw in a hundred, which is below what the test can see in 10,000."""
    spread = float(model.spread_us)
    if model.distribution is Distribution.UNIFORM:
        distribution = stats.uniform(-spread, 2 * spread)
    elif model.distribution is Distribution.NORMAL:
        distribution = stats.norm(0, spread)
    else:
        plain = stats.pareto(PARETO_SHAPE)
        scale = spread / plain.std()
        distribution = stats.pareto(PARETO_SHAPE, loc=-plain.mean() * scale, scale=scale)
    return float(stats.kstest(seen_us, distribution.cdf).pvalue)


def early_drops(chances: Mapping[int, float], dropped: set[int]) -> float:
    """Drops with a probability of their own each: their sum is normal in the limit (Lindeberg)."""
    uncertain = {number: chance for number, chance in chances.items() if 0 < chance < 1}
    variance = sum(chance * (1 - chance) for chance in uncertain.values())
    excess = len(dropped & uncertain.keys()) - sum(uncertain.values())
    return erfc(abs(excess) / sqrt(2 * variance)) if variance else 1.0


def chi_square(seen: Sequence[float], expected: Sequence[float]) -> float:
    """Pearson's test; the cells least expected are taken together until each has enough. What cannot happen but did
    has no likelihood at all."""
    if any(count and not chance for count, chance in zip(seen, expected, strict=True)):
        return 0.0
    cells = sorted((chance, count) for count, chance in zip(seen, expected, strict=True) if chance)
    while len(cells) > 1 and cells[0][0] < LEAST_EXPECTED:
        (first_chance, first), (second_chance, second), *rest = cells
        cells = sorted([(first_chance + second_chance, first + second), *rest])
    if len(cells) == 1:
        return 1.0
    observed, likely = np.array([count for _, count in cells]), np.array([chance for chance, _ in cells])
    statistic = float(((observed - likely) ** 2 / likely).sum())
    return float(stats.chi2.sf(statistic, len(cells) - 1))
