"""Records of datagrams put in order, some flows at a time, so that memory stays bounded. Pure.

A *key* is a datagram as one number: its flow, counted from the batch's first, times 2**32, plus its sequence number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from helsewan.lab.flows.records import RECORD, Array
from helsewan.scenarios.results.datagrams.schedules import Schedules

BATCH_RECORDS = 1 << 18  # of a batch, unless one flow has more: its arrays stay in a processor's cache
BATCH_FLOWS = 1 << 12  # of a batch at most; with a time of a day in ns it fits into 64 bits


@dataclass(frozen=True)
class Batch:
    """All records of flows ``first`` to before ``end``, by flow, and by time of arrival within a flow."""

    first: int
    end: int
    flow: Array  # of each record, counted from ``first``
    records: Array  # lab.flows.records.RECORD


def batches(records: Array, flows: int) -> Iterator[Batch]:
    """The records of flows 0 to before ``flows``, every flow in exactly one batch; records of no flow are left out."""
    number = np.minimum(records["flow"], flows)
    counts = np.bincount(number, minlength=flows + 1)
    bounds = _bounds(counts[:flows])
    of_flow = np.searchsorted(bounds, np.arange(flows + 1), side="right") - 1
    batch = of_flow.astype(np.uint16 if len(bounds) < 1 << 16 else np.int64)[number]
    order = np.argsort(batch, kind="stable")  # a radix sort of 16 bits, in linear time
    del number, batch
    ends = np.cumsum(counts)
    for first, end in pairwise(bounds.tolist()):
        low = int(ends[first - 1]) if first else 0
        part = _taken(records, order[low : int(ends[end - 1])])
        flow = (part["flow"] - first).astype(np.uint16)
        own = np.argsort(flow, kind="stable")
        part, flow = _taken(part, own), flow[own].astype(np.int64)
        late = part["rx_ns"][1:] < part["rx_ns"][:-1]
        if (late & (flow[1:] == flow[:-1])).any():  # one receiver's records need not be in another's order
            part = _taken(part, np.lexsort((part["rx_ns"], flow)))
        yield Batch(first, end, flow, part)


def _taken(records: Array, indices: Array) -> Array:
    """``records[indices]``, as rows of 64-bit words: numpy copies structs nine times as slowly."""
    words = np.ascontiguousarray(records).view(np.uint64).reshape(len(records), RECORD.itemsize // 8)
    taken: Array = words.take(indices, axis=0).view(RECORD).reshape(len(indices))
    return taken


def _bounds(counts: Array) -> Array:
    """Numbers of the flows at which batches begin, and the number of flows."""
    bounds = [0]
    held = 0
    for number, count in enumerate(counts.tolist()):
        if number > bounds[-1] and (held + count > BATCH_RECORDS or number - bounds[-1] == BATCH_FLOWS):
            bounds.append(number)
            held = 0
        held += count
    return np.array([*bounds, len(counts)] if len(counts) else [0])


@dataclass(frozen=True)
class Arrivals:
    """What became of a batch's datagrams. All but ``came_delay_ns`` and ``heard`` are by key.

    ``key``, ``delay_ns``, ``due_ns`` and ``bytes`` (UDP payload) have one element for each datagram that arrived at its
    own socket, of its first arrival there; ``came_key`` and ``came_delay_ns`` the same in order of arrival, flow by
    flow."""

    flows: int
    key: Array
    delay_ns: Array
    due_ns: Array
    bytes: Array
    came_key: Array
    came_delay_ns: Array
    right_key: Array  # of every arrival at the right socket
    wrong_key: Array  # of every arrival at another one
    mismarked_key: Array  # of arrivals at the right socket without the right code point
    reordered_key: Array  # of datagrams that came after a later one of their flow
    extent: Array  # by how many: RFC 4737, 4.2.1
    heard: Array  # flow times 2**48 plus when it would have arrived had it been sent when due, sorted; duplicates too

    @property
    def in_order(self) -> bool:
        """Whether every flow's datagrams came in the order of their numbers."""
        return self.came_key is self.key


def arrivals(batch: Batch, schedules: Schedules, receiver: Array, dscp: Array) -> Arrivals:
    """What became of a batch's datagrams; ``receiver`` and ``dscp``: the right ones of every flow."""
    part, flow = batch.records, batch.flow
    key = (flow << 32) | part["seq"]
    number = flow + batch.first
    right = part["receiver"] == receiver[number]
    wrong_key = np.sort(key[~right])
    if len(wrong_key):
        part, key, number = _taken(part, np.flatnonzero(right)), key[right], number[right]
    delay_ns, bytes_ = part["rx_ns"] - part["tx_ns"], part["bytes"].astype(np.int64)
    due_ns = schedules.due_ns(number, part["seq"].astype(np.int64))
    mismarked_key = np.sort(key[(part["tos"] >> 2) != dscp[number]])
    heard = (key >> 32 << 48) | np.clip(due_ns + delay_ns, 0, (1 << 48) - 1)
    heard.sort(kind="stable")  # nearly sorted already
    late = extent = np.zeros(0, np.int64)
    right_key, came_key, came_delay_ns = key, key, delay_ns
    if not (key[1:] > key[:-1]).all():
        order = np.argsort(key, kind="stable")
        right_key = key[order]
        fresh = np.concatenate(([True], right_key[1:] != right_key[:-1]))
        once = order[fresh]  # positions of first arrivals, by key
        came = np.sort(once)
        came_key, came_delay_ns = key[came], delay_ns[came]
        highest = np.maximum.accumulate(came_key)  # flows ascend, so none sees another's
        places = np.flatnonzero(came_key < highest)
        extent = places - np.searchsorted(highest, came_key[places], side="right")
        by_key = np.argsort(came_key[places])
        late, extent = came_key[places][by_key], extent[by_key]
        key, delay_ns, due_ns, bytes_ = right_key[fresh], delay_ns[once], due_ns[once], bytes_[once]
    return Arrivals(
        flows=batch.end - batch.first,
        key=key,
        delay_ns=delay_ns,
        due_ns=due_ns,
        bytes=bytes_,
        came_key=came_key,
        came_delay_ns=came_delay_ns,
        right_key=right_key,
        wrong_key=wrong_key,
        mismarked_key=mismarked_key,
        reordered_key=late,
        extent=extent,
        heard=heard,
    )
