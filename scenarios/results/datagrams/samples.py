"""What a measurement keeps of the datagrams that arrived, for figures of sets of flows and for series. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.availability import together, unavailable_us
from helsewan.scenarios.results.datagrams.schedules import Schedules


@dataclass(frozen=True)
class Samples:
    """Number and delay of all datagrams that arrived, by flow and number: those of flow i from ``bounds[i]`` to before
    ``bounds[i + 1]``, and in phase w from ``low[w, i]`` to before ``high[w, i]``. ``due[i]`` datagrams of flow i came
    due in all; ``edges_ns[w]`` are the begin and the end of phase w. ``blocks_sent`` and ``blocks_received`` count
    datagrams of each flow by the blocks of `availability`, which lie between ``block_edges_ns``."""

    schedules: Schedules
    due: Array
    seq: Array
    delay_ns: Array
    bounds: Array
    low: Array
    high: Array
    edges_ns: Array
    block_edges_ns: Array
    blocks_sent: Array
    blocks_received: Array

    def of(self, flow: int) -> tuple[Array, Array, Array]:
        """Sequence numbers of a flow's datagrams that arrived, when each was due (ns from the run's start), and their
        delays (ns). Datagrams of numbers that never came due are left out."""
        own = slice(int(self.bounds[flow]), int(self.bounds[flow + 1]))
        seq = self.seq[own].astype(np.int64)
        known = int(np.searchsorted(seq, self.due[flow]))
        seq = seq[:known]
        return seq, self.schedules.due_ns_of(flow, seq), self.delay_ns[own][:known]

    def delays_ns(self, flows: Sequence[int], phase: int) -> Array:
        """The delays of several flows' datagrams of a phase that arrived, flow by flow."""
        bounds = zip(self.low[phase, flows].tolist(), self.high[phase, flows].tolist(), strict=True)
        return np.concatenate([self.delay_ns[:0], *(self.delay_ns[low:high] for low, high in bounds)])

    def unavailable_us(self, flows: Sequence[int], phase: int) -> float:
        """For how long several flows together were unavailable in a phase."""
        sent, received = (together(table, flows) for table in (self.blocks_sent, self.blocks_received))
        return float(unavailable_us(sent, received, self.block_edges_ns, *self.edges_ns[phase].tolist()))
