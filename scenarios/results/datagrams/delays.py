"""Delay, jitter and silence of a batch's flows in a phase. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.arrivals import Arrivals
from helsewan.scenarios.results.datagrams.segments import quantiles, reduced, summed

_SHARES = (0.0, 0.5, 0.95, 0.99, 1.0)
_STEPS = 512  # of the jitter's latest steps; what is older weighs below 1e-14
_WEIGHTS = (15 / 16) ** np.arange(_STEPS) / 16


def delay_figures(delay_ns: Array, low: Array, high: Array) -> dict[str, Array]:
    """Figures of each segment of delays; NaN where it is empty."""
    least, p50, p95, p99, most = quantiles(delay_ns, low, high, _SHARES) / 1000
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, as it should be
        mean = summed(delay_ns, low, high) / (high - low) / 1000
    return named(least, mean, p50, p95, p99, most)


def pooled_delay_figures(delay_ns: Array) -> dict[str, float]:
    """The same of one set of delays; nothing where it is empty."""
    if not len(delay_ns):
        return {}
    last = len(delay_ns) - 1
    places = [last * share for share in _SHARES[1:-1]]
    parted = np.partition(delay_ns, sorted({min(int(place) + up, last) for place in places for up in (0, 1)}))
    least, mean, most = float(delay_ns.min()), float(delay_ns.sum()) / len(delay_ns), float(delay_ns.max())
    p50, p95, p99 = (
        float(parted[int(place)]) + float(parted[min(int(place) + 1, last)] - parted[int(place)]) * (place % 1)
        for place in places
    )
    return named(*(ns / 1000 for ns in (least, mean, p50, p95, p99, most)))


Value = TypeVar("Value", Array, float)


def named(*values: Value) -> dict[str, Value]:
    """Least, mean, median, 95th, 99th percentile and greatest delay by name; ``pdv_p99_us``: RFC 5481, 4.2."""
    least, mean, p50, p95, p99, most = values
    return {
        "delay_min_us": least,
        "delay_mean_us": mean,
        "delay_p50_us": p50,
        "delay_p95_us": p95,
        "delay_p99_us": p99,
        "delay_max_us": most,
        "pdv_p99_us": p99 - least,
    }


def jitter_us(came: Arrivals, begin_key: Array, end_key: Array, low: Array, high: Array) -> Array:
    """Interarrival jitter (RFC 3550, 6.4.1) at each flow's last arrival in the phase: J grows by (|D| - J) / 16 at
    each; in closed form a sum of all |D| with weights that fall by 15/16 each step back.
    NaN for fewer than two arrivals."""
    delay_ns = came.came_delay_ns
    if not came.in_order:
        flow = came.came_key >> 32
        inside = (came.came_key >= begin_key[flow]) & (came.came_key < end_key[flow])
        delay_ns = delay_ns[inside]
        lengths = high - low
        high = np.cumsum(lengths)
        low = high - lengths
    width = int(min((high - low).max(initial=0) - 1, _STEPS))
    if width < 1:
        return np.full(len(low), np.nan)
    later = high[:, None] - 1 - np.arange(width)
    within = later > low[:, None]
    later = np.where(within, later, 1)
    steps_ns = np.where(within, np.abs(delay_ns[later] - delay_ns[later - 1]), 0)
    jitter: Array = np.where(high - low > 1, steps_ns @ _WEIGHTS[:width] / 1000, np.nan)
    return jitter


def gap_us(came: Arrivals, begin_ns: Array, end_ns: Array) -> Array:
    """The longest time without an arrival between ``begin_ns`` and ``end_ns`` of each flow, both edges included; NaN
    where that is no time at all."""
    base = np.arange(came.flows, dtype=np.int64) << 48
    begin, end = base + begin_ns, base + end_ns
    low, high = np.searchsorted(came.heard, begin), np.searchsorted(came.heard, end)
    high = np.maximum(low, high)
    between = np.diff(came.heard)
    inner = reduced(np.maximum, between, low, np.maximum(high - 1, low), 0)
    heard = high > low
    if len(came.heard):
        first, last = came.heard[np.minimum(low, len(came.heard) - 1)], came.heard[high - 1]
        edges = np.maximum(first - begin, end - last)
        longest = np.where(heard, np.maximum(inner, edges), end_ns - begin_ns)
    else:
        longest = end_ns - begin_ns
    gap: Array = np.where(end_ns > begin_ns, longest / 1000, np.nan)
    return gap


def reordering(came: Arrivals, begin_key: Array, end_key: Array) -> Mapping[str, Array]:
    """Reordered datagrams (RFC 4737, 3) and the greatest extent of one (4.2.1: how many places it came too late)."""
    low, high = (np.searchsorted(came.reordered_key, key) for key in (begin_key, end_key))
    return {
        "reordered": high - low,
        "reordering_extent_max": reduced(np.maximum, came.extent, low, np.maximum(high, low), 0),
    }
