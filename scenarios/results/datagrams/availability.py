"""Time in which sets of flows are unavailable. Pure.

The rule is that of ITU-T Y.1540's availability function: a block of time is unavailable when the loss ratio in it
exceeds a threshold. The recommendation judges minutes, for services that are watched for months; a run is watched for
minutes, so the blocks are the seconds of the run. A set of flows is judged by all its datagrams due in a block
together; a block in which none is due is available. A phase has of an unavailable block what lies within it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helsewan.lab.flows.records import Array

SECOND_NS = 1_000_000_000
MOST_BLOCKS = 3_600
MOST_LOSS = 0.2  # the loss ratio above which a block is lost


def block_edges_ns(end_ns: int) -> Array:
    """The edges of the blocks of a run until ``end_ns``: its seconds; in runs of more than an hour blocks are of as
    many seconds as make ``MOST_BLOCKS`` at most."""
    seconds = max(-(-end_ns // SECOND_NS), 1)
    block_s = -(-seconds // MOST_BLOCKS)
    edges: Array = np.arange(-(-seconds // block_s) + 1, dtype=np.int64) * block_s * SECOND_NS
    return edges


def unavailable_us(sent: Array, received: Array, edges_ns: Array, begin_ns: int, end_ns: int) -> Array:
    """The unavailable time between ``begin_ns`` and ``end_ns``; ``sent`` and ``received``: by block, the last axis."""
    bad = sent - received > MOST_LOSS * sent
    overlap_ns = (np.minimum(edges_ns[1:], end_ns) - np.maximum(edges_ns[:-1], begin_ns)).clip(min=0)
    time_us: Array = bad @ overlap_ns / 1000
    return time_us


def counted(flow: Array, due_ns: Array, flows: int, edges_ns: Array) -> Array:
    """How many of the datagrams ``flow``, ``due_ns`` there are of each flow in each block."""
    blocks = len(edges_ns) - 1
    index = flow * blocks + np.minimum(due_ns // int(edges_ns[1]), blocks - 1)
    table: Array = np.bincount(index, minlength=flows * blocks).reshape(flows, blocks)
    return table


def together(tables: Array, flows: Sequence[int]) -> Array:
    """The blocks of several flows as one."""
    summed: Array = tables[np.asarray(flows, np.int64)].sum(axis=0, dtype=np.int64)
    return summed
