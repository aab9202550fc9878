"""Operations on segments of arrays: one number for each ``values[low:high]``. Pure."""

from __future__ import annotations

import numpy as np

from helsewan.lab.flows.records import Array

MOST_GROUPS = 1 << 14  # whose number, and 48 bits, fit into 64


def reduced(operation: np.ufunc, values: Array, low: Array, high: Array, empty: float) -> Array:
    """``operation`` over each segment, ``empty`` where it has no elements. Segments ascend and do not overlap."""
    result = np.full(len(low), empty, values.dtype)
    filled = high > low
    if filled.any():
        bounds = np.column_stack((low[filled], high[filled])).ravel()
        if bounds[-1] == len(values):  # reduceat goes to the end by itself, and takes no such index
            bounds = bounds[:-1]
        result[filled] = operation.reduceat(values, bounds)[::2]
    return result


def summed(values: Array, low: Array, high: Array) -> Array:
    """The sums of segments, exact for whole numbers."""
    running = np.concatenate(([0], np.cumsum(values)))
    sums: Array = running[high] - running[low]
    return sums


def members(low: Array, high: Array) -> Array:
    """The indices of all segments' elements, one segment after the other."""
    lengths = high - low
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    indices: Array = np.arange(total) + np.repeat(low - (ends - lengths), lengths)
    return indices


def quantiles(values: Array, low: Array, high: Array, shares: tuple[float, ...]) -> Array:
    """The quantiles of each segment of ``values``; see `quantiles_by_group`."""
    lengths = high - low
    inside = values if lengths.sum() == len(values) else values[members(low, high)]
    return quantiles_by_group(inside, np.repeat(np.arange(len(low), dtype=np.int64), lengths), len(low), shares)


def quantiles_by_group(values: Array, group: Array, groups: int, shares: tuple[float, ...]) -> Array:
    """The quantiles of the ``values`` of each of ``groups`` groups, interpolated between neighbours as numpy does; a
    row for each share, NaN where a group is empty. Values are whole numbers below 2**48 apart; groups at most
    ``MOST_GROUPS``, for one sort orders both."""
    result = np.full((len(shares), groups), np.nan)
    if not len(values):
        return result
    least = int(values.min())
    ordered = (group.astype(np.int64) << 48) | (values - least)
    ordered.sort()
    lengths = np.bincount(group, minlength=groups)
    filled = lengths > 0
    begin, last = (np.cumsum(lengths) - lengths)[filled], lengths[filled] - 1
    for row, share in enumerate(shares):
        place = last * share
        below = place.astype(np.int64)
        bottom, top = (
            (ordered[begin + at] & ((1 << 48) - 1)).astype(float) for at in (below, np.minimum(below + 1, last))
        )
        result[row, filled] = bottom + (top - bottom) * (place - below) + least
    return result
