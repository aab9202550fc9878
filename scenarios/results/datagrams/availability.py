"""Time in which sets of flows are unavailable. Pure.

The rule is that of ITU-T Y.1540's availability function: a block of time is unavailable when the loss ratio in it
exceeds a threshold. The recommendation judges minutes, for services that are watched for months; a run is watched for
minutes, so the blocks are the seconds of the run. A set of flows is judged by all its datagrams due in a second
together; a second in which none is due is available. A phase has of an unavailable second what lies within it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helsewan.lab.flows.records import Array

BLOCK_NS = 1_000_000_000
MOST_LOSS = 0.2  # the loss ratio above which a second is lost


def blocks(end_ns: int) -> int:
    """How many blocks there are before ``end_ns``."""
    return -(-end_ns // BLOCK_NS)


def unavailable_us(sent: Array, received: Array, begin_ns: Array | int, end_ns: Array | int) -> Array:
    """The unavailable time between ``begin_ns`` and ``end_ns``; ``sent`` and ``received``: by block, the last axis."""
    lost = sent - received
    bad = lost > MOST_LOSS * sent
    edges = np.arange(sent.shape[-1] + 1) * BLOCK_NS
    overlap_ns = (np.minimum(edges[1:], end_ns) - np.maximum(edges[:-1], begin_ns)).clip(min=0)
    time_us: Array = bad @ overlap_ns / 1000
    return time_us


def counted(flow: Array, due_ns: Array, flows: int, end_ns: int) -> Array:
    """How many of the datagrams ``flow``, ``due_ns`` there are of each flow in each block."""
    count = blocks(end_ns)
    index = flow * count + np.minimum(due_ns // BLOCK_NS, count - 1)
    table: Array = np.bincount(index, minlength=flows * count).reshape(flows, count)
    return table


def together(tables: Array, flows: Sequence[int]) -> Array:
    """The blocks of several flows as one."""
    summed: Array = tables[np.asarray(flows, np.int64)].sum(axis=0, dtype=np.int64)
    return summed
