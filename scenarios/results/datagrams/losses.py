"""Runs of lost datagrams: the loss periods of RFC 3357. Pure.

A loss period is a run of consecutive datagrams of a flow, in the order in which they were sent, that are all lost
(RFC 3357, 4); here one that reaches beyond the phase counts with its part inside.
"""

from __future__ import annotations

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.segments import reduced, summed


def loss_periods(key: Array, low: Array, high: Array, begin_key: Array, end_key: Array) -> tuple[Array, Array]:
    """How many loss periods each flow has in a phase, and the longest, in datagrams. ``key[low:high]`` are the
    datagrams that arrived, of those from ``begin_key`` to before ``end_key``."""
    missing = np.diff(key) - 1  # between neighbours; across flows meaningless, and in no segment
    inner_high = np.clip(high - 1, low, len(missing))
    inner_low = np.minimum(low, inner_high)
    periods = summed(missing > 0, inner_low, inner_high)
    longest = reduced(np.maximum, missing, inner_low, inner_high, 0)
    arrived = high > low
    head, tail = end_key - begin_key, np.zeros_like(begin_key)  # all of it, where nothing arrived
    if len(key):
        head = np.where(arrived, key[np.minimum(low, len(key) - 1)] - begin_key, head)
        tail = np.where(arrived, end_key - 1 - key[high - 1], tail)
    return periods + (head > 0) + (tail > 0), np.maximum(longest, np.maximum(head, tail))
