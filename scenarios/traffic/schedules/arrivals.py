"""Arrival processes: times of a stream of events, and their warping by a rate that changes over time. Pure."""

from __future__ import annotations

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.scenarios.spec.traffic.arrivals import ArrivalSpec, Process, Shape

WARM_UP_ROUNDS = 10  # of an on and an off period
SHAPE_STEPS = 20_000  # by which a shape's integral is known; between them it counts as straight


def arrival_times(spec: ArrivalSpec, every: float, length: float, rng: np.random.Generator) -> Array:
    """Times from 0 to before ``length``, in order, of a stationary process with mean interval ``every``; any unit."""
    if spec.process is Process.CONSTANT:
        return np.asarray(np.arange(rng.uniform(0, every), length, every))
    if spec.process is Process.POISSON:
        return np.sort(rng.uniform(0, length, rng.poisson(length / every)))
    return _on_off(spec, every, length, rng)


def _on_off(spec: ArrivalSpec, every: float, length: float, rng: np.random.Generator) -> Array:
    """Evenly spaced arrivals in on periods: ``every`` times the on periods' share of time apart, so that the mean over
    on and off periods is ``every``. Followed from some rounds before the begin, which then falls anywhere in one."""
    on, off = float(spec.active or 0), float(spec.idle or 0)  # validated: both are there
    apart = every * on / (on + off)
    before = WARM_UP_ROUNDS * (on + off)
    ons, offs = np.empty(0), np.empty(0)
    while ons.sum() + offs.sum() < before + length:
        more = int((before + length) / (on + off)) + 16
        ons = np.concatenate([ons, _lengths(spec, on, more, rng)])
        offs = np.concatenate([offs, _lengths(spec, off, more, rng)])
    begins = np.cumsum(ons + offs) - ons - offs - before
    phase = rng.uniform(0, apart, len(ons))
    counts = np.ceil((np.minimum(ons, length - begins) - phase) / apart).clip(min=0).astype(np.int64)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    times = np.repeat(begins + phase, counts) + within * apart
    return np.asarray(times[times >= 0])


def _lengths(spec: ArrivalSpec, mean: float, count: int, rng: np.random.Generator) -> Array:
    """Lengths of periods: Pareto with P(L > l) = (least / l) ** alpha, or lognormal."""
    if spec.process is Process.PARETO:
        return np.asarray(mean * (spec.alpha - 1) / spec.alpha * (1 + rng.pareto(spec.alpha, count)))
    return rng.lognormal(np.log(mean) - spec.sigma**2 / 2, spec.sigma, count)


class Warp:
    """Time at full rate and time under a ``shape``: an arrival after so much of the one falls at so much of the other.

    Any process in time at full rate becomes one whose rate at each moment is the shape's share of it. Times in us from
    the run's start; before it the shape's first load holds."""

    def __init__(self, shape: Shape, length_us: int) -> None:
        times = np.linspace(0, length_us, SHAPE_STEPS + 1)
        load = np.interp(times, list(shape), list(shape.values()))
        passed = np.concatenate([[0.0], np.cumsum((load[1:] + load[:-1]) / 2 * np.diff(times))])
        self._times, self._passed, self._first = times, passed, float(load[0])

    @property
    def length(self) -> float:
        """The run's length in time at full rate, us."""
        return float(self._passed[-1])

    def shaped(self, full_rate_us: Array) -> Array:
        """When arrivals fall that are due after ``full_rate_us`` at full rate; those before the run below 0."""
        inside = np.interp(full_rate_us, self._passed, self._times)
        before = full_rate_us / self._first if self._first else np.full(len(inside), -np.inf)
        return np.where(full_rate_us < 0, before, inside)
