"""What chance decides of a frame: thrown by the model, or told so that what follows from it can be compared exactly."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Protocol

from helsewan.emulation.links.pipe_model import PARETO_SHAPE, Distribution, Jitter, Loss

NS_PER_US = 1_000
JITTER_BOUND = 4.0  # standard deviations


class Decisions(Protocol):
    """What chance decides of frame ``number``."""

    def dropped_early(self, number: int, probability: float) -> bool: ...
    def lost(self, number: int, loss: Loss) -> bool: ...
    def duplicated(self, number: int, probability: float) -> bool: ...
    def corrupted(self, number: int, probability: float) -> bool: ...
    def jitter_ns(self, number: int, jitter: Jitter) -> int: ...


class Dice:
    """Throws for each frame as the model says."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._bad = False

    def dropped_early(self, number: int, probability: float) -> bool:
        return self._random.random() < probability

    duplicated = corrupted = dropped_early

    def lost(self, number: int, loss: Loss) -> bool:
        """By the state it finds; then the state turns (Gilbert 1960, Elliott 1963)."""
        lost = self._random.random() < (loss.bad if self._bad else loss.good)
        if self._random.random() < (loss.r if self._bad else loss.p):
            self._bad = not self._bad
        return lost

    def jitter_ns(self, number: int, jitter: Jitter) -> int:
        spread_ns = jitter.spread_us * NS_PER_US
        if jitter.distribution is Distribution.UNIFORM:
            return round(self._random.uniform(-spread_ns, spread_ns))
        if jitter.distribution is Distribution.NORMAL:
            deviations = self._random.gauss(0, 1)
        else:  # a Pareto variate of minimum 1 has mean a/(a-1) and variance a/((a-1)^2 (a-2))
            shape = PARETO_SHAPE
            deviation = sqrt(shape / (shape - 2)) / (shape - 1)
            deviations = (self._random.paretovariate(shape) - shape / (shape - 1)) / deviation
        return round(spread_ns * max(-JITTER_BOUND, min(JITTER_BOUND, deviations)))


@dataclass(frozen=True)
class Told:
    """Decisions seen elsewhere, by frame number."""

    early: frozenset[int] = frozenset()
    losses: frozenset[int] = frozenset()
    duplicates: frozenset[int] = frozenset()
    corruptions: frozenset[int] = frozenset()
    jitters_ns: Mapping[int, int] = field(default_factory=dict)

    def dropped_early(self, number: int, probability: float) -> bool:
        return number in self.early

    def lost(self, number: int, loss: Loss) -> bool:
        return number in self.losses

    def duplicated(self, number: int, probability: float) -> bool:
        return number in self.duplicates

    def corrupted(self, number: int, probability: float) -> bool:
        return number in self.corruptions

    def jitter_ns(self, number: int, jitter: Jitter) -> int:
        return self.jitters_ns[number]
