"""Time series of datagrams: bins of 100 ms for classes, entries, flows or any other groups of flows. Pure.

A datagram counts in the bin in which it was due, as it does in a phase; so sent, received and lost add up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.samples import Samples
from helsewan.scenarios.results.datagrams.segments import MOST_GROUPS, quantiles_by_group

BIN_US = 100_000
_SHARES = (0.5, 0.95, 0.99, 1.0)

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class Series(Generic[Group]):
    """Bins of ``bin_us`` from the run's start: arrays with a row for each of ``groups`` and a column for each bin.

    Delays are one-way, of the datagrams that arrived; NaN where none did."""

    groups: tuple[Group, ...]
    bin_us: int
    sent: Array
    received: Array
    delay_p50_us: Array
    delay_p95_us: Array
    delay_p99_us: Array
    delay_max_us: Array

    @property
    def lost(self) -> Array:
        """Datagrams that came due and never arrived."""
        lost: Array = self.sent - self.received
        return lost

    @property
    def start_us(self) -> Array:
        """When each bin begins, from the run's start."""
        return np.arange(self.sent.shape[1]) * self.bin_us


def series(
    samples: Samples,
    group_of: Mapping[int, Group],
    duration_us: int,
    bin_us: int = BIN_US,
) -> Series[Group]:
    """The series of groups of flows over a run of ``duration_us``. ``group_of``: the group of each flow by the flow's
    id; other flows are left out."""
    groups = tuple(dict.fromkeys(group_of.values()))
    members: dict[Group, list[int]] = {group: [] for group in groups}
    for flow, group in group_of.items():
        members[group].append(flow)
    edges_ns = np.arange(-(-duration_us // bin_us) + 1, dtype=np.int64) * bin_us * 1000
    bins = len(edges_ns) - 1
    sent = np.zeros((len(groups), bins), np.int64)
    received = np.zeros_like(sent)
    delays = np.full((len(_SHARES), len(groups), bins), np.nan)
    for number, own in enumerate(members.values()):
        for flow in own:
            before = np.minimum(samples.schedules.due_before_of(flow, edges_ns), samples.due[flow])
            sent[number] += np.diff(before)
        index, delay_ns = _arrived(samples, own, bin_us * 1000, bins)
        received[number] = np.bincount(index, minlength=bins)
        for first in range(0, bins, MOST_GROUPS):
            count = min(bins - first, MOST_GROUPS)
            inside = slice(None) if count == bins else (index >= first) & (index < first + count)
            found = quantiles_by_group(delay_ns[inside], index[inside] - first, count, _SHARES)
            delays[:, number, first : first + count] = found / 1000
    return Series(groups, bin_us, sent, received, *delays)


def _arrived(samples: Samples, flows: Sequence[int], bin_ns: int, bins: int) -> tuple[Array, Array]:
    """Bin and delay (ns) of the flows' datagrams that arrived; what came due later than the last bin is left out."""
    indices, delays = [np.zeros(0, np.int64)], [samples.delay_ns[:0]]
    for flow in flows:
        _, due_ns, delay_ns = samples.of(flow)
        index = due_ns // bin_ns
        known = int(np.searchsorted(index, bins))  # due times ascend
        indices.append(index[:known])
        delays.append(delay_ns[:known])
    return np.concatenate(indices), np.concatenate(delays)
