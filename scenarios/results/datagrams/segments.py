"""Operations on segments of arrays: one number for each ``values[low:high]``. Pure."""

from __future__ import annotations

import numpy as np

from helsewan.lab.flows.records import Array


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
    """The quantiles of each segment of ``values`` (whole numbers below 2**48 apart), interpolated between neighbours as
    numpy does; a row for each share, NaN where a segment is empty. At most 2**14 segments."""
    lengths = high - low
    result = np.full((len(shares), len(low)), np.nan)
    filled = lengths > 0
    if not filled.any():
        return result
    whole = lengths.sum() == len(values)
    inside = values if whole else values[members(low, high)]
    least = int(inside.min())
    segment = np.repeat(np.arange(len(low), dtype=np.int64) << 48, lengths)
    ordered = np.sort(segment | (inside - least))
    begin = np.cumsum(lengths) - lengths
    for row, share in enumerate(shares):
        place = (lengths[filled] - 1) * share
        below = place.astype(np.int64)
        first = begin[filled] + below
        second = np.minimum(first + 1, begin[filled] + lengths[filled] - 1)
        bottom, top = ((ordered[at] & _LOW_48).astype(float) for at in (first, second))
        result[row, filled] = bottom + (top - bottom) * (place - below) + least
    return result


_LOW_48 = (1 << 48) - 1
