"""Calls that begin and end during a run: arrivals, holding times, and lines that may be busy. Pure."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.scenarios.spec.traffic.arrivals import CallsSpec, Distribution, HoldingSpec
from helsewan.scenarios.traffic.schedules.arrivals import Warp, arrival_times

WARM_UP_HOLDINGS = 10  # mean holding times before the run from which calls are followed, so that it begins in balance


@dataclass(frozen=True, slots=True)
class Call:
    """A call on line number ``line``, from the run's start; one under way then begins at 0."""

    line: int
    start_us: int
    stop_us: int


@dataclass(frozen=True)
class PlannedCalls:
    """The calls of a run in order of their begin, and how many of those that began during it were blocked."""

    calls: tuple[Call, ...]
    blocked: int


def plan_calls(spec: CallsSpec, lines: int, length_us: int, rng: np.random.Generator) -> PlannedCalls:
    """The calls over ``lines`` lines until ``length_us``. With Poisson arrivals and holding times of any distribution
    the number of lines in use has Erlang's distribution (the loss system M/G/n/n)."""
    begins = _begins(spec, length_us, rng)
    ends = begins + _holding_times(spec.holding, len(begins), rng)
    picks = rng.random(len(begins))
    free, busy = list(range(lines)), list[tuple[float, int]]()
    calls, blocked = [], 0
    for begin, end, pick in zip(begins.tolist(), ends.tolist(), picks.tolist(), strict=True):
        while busy and busy[0][0] <= begin:
            free.append(heapq.heappop(busy)[1])
        if not free:
            blocked += begin >= 0
            continue
        at = int(pick * len(free))
        free[at], free[-1] = free[-1], free[at]
        line = free.pop()
        heapq.heappush(busy, (end, line))
        if end > 0:
            calls.append(Call(line, max(int(begin), 0), min(int(end), length_us)))
    return PlannedCalls(tuple(call for call in calls if call.stop_us > call.start_us), blocked)


def _begins(spec: CallsSpec, length_us: int, rng: np.random.Generator) -> Array:
    """When calls begin, from some time before the run."""
    before = WARM_UP_HOLDINGS * spec.holding.mean
    warp = Warp(spec.shape, length_us) if spec.shape else None
    times = arrival_times(spec.arrivals, spec.every, before + (warp.length if warp else length_us), rng) - before
    return warp.shaped(times) if warp else times


def _holding_times(spec: HoldingSpec, count: int, rng: np.random.Generator) -> Array:
    if spec.distribution is Distribution.EXPONENTIAL:
        return rng.exponential(spec.mean, count)
    if spec.distribution is Distribution.LOGNORMAL:
        return rng.lognormal(np.log(spec.mean) - spec.sigma**2 / 2, spec.sigma, count)
    return np.full(count, float(spec.mean))
