"""Figures of the last moments, while the run goes on: from the flow engine's records so far. Vectorised; of the records
it keeps those of the longest span that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Protocol

import numpy as np

from helsewan.lab.flows.flowspec import Expect, FlowKind, FlowSpec
from helsewan.lab.flows.records import RECORD, Array

IN_FLIGHT_US = 200_000  # a datagram that has not arrived so long after it was due counts as lost
STEP_US = 50_000  # the least time between two looks at the engine


class FlowSource(Protocol):
    """What is read of the flow engine."""

    @property
    def records(self) -> Array:
        """The records (``records.RECORD``) of all datagrams received so far."""

    @property
    def due(self) -> Array:
        """Number of datagrams of each flow that were due so far."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Flows by traffic class and by entry of the traffic (None: any). Of flows that must arrive, controls belong to
    those that are selected by their entry only."""

    class_name: str | None = None
    traffic: str | None = None


class LiveFigures:
    """Live figures of ``flows``, whose records ``source`` has, over spans of up to ``most_us``."""

    def __init__(self, flows: Sequence[FlowSpec], source: FlowSource, most_us: int) -> None:
        self._flows, self._source = flows, source
        self._horizon_us = most_us + IN_FLIGHT_US
        self._dues: deque[tuple[int, Array]] = deque()  # time (us from the run's start), and due so far
        self._recent: deque[tuple[int, Array]] = deque()  # time at which they were read, and records
        self._read = 0  # number of records that were read
        self._dscp = np.array([flow.dscp for flow in flows], np.uint8)
        self._masks: dict[tuple[Selection, bool], Array] = {}

    def update(self, now_us: int) -> bool:
        """Read what has arrived since the last look, if that was `STEP_US` ago, and return whether; ``now_us`` from the
        run's start. To be called at least that often while figures are wanted."""
        if self._dues and now_us - self._dues[-1][0] < STEP_US:
            return False
        self._dues.append((now_us, self._source.due.astype(np.uint32)))
        records = self._source.records
        if len(records) > self._read:
            self._recent.append((now_us, records[self._read :].copy()))
            self._read = len(records)
        keep_us = now_us - self._horizon_us - 2 * STEP_US
        while len(self._dues) > 1 and self._dues[1][0] <= keep_us:
            self._dues.popleft()
        while self._recent and self._recent[0][0] < keep_us:
            self._recent.popleft()
        return True

    def value(self, metric: str, selection: Selection, over_us: int) -> float:
        """A metric of ``spec.timeline.conditions.LIVE_METRICS``, in its unit, of the datagrams of the selected flows,
        together, that were due in ``over_us`` up to `IN_FLIGHT_US` before the last `update`. NaN where there is nothing
        to take it from, also while the run is younger than that."""
        span = self._span(over_us)
        if span is None:
            return nan
        (begin_us, first), (end_us, after) = span
        mask = self._mask(selection, denied=metric == "leaked")
        sent = int((after - first)[mask].sum(dtype=np.int64))
        arrived = self._arrived(first, after, mask)
        received = len(arrived)
        match metric:
            case "sent":
                return sent
            case "received" | "leaked":
                return received
            case "lost":
                return sent - received
            case "loss":
                return 1 - received / sent if sent else nan
            case "rate":
                return float(arrived["bytes"].sum(dtype=np.int64)) * 8e6 / (end_us - begin_us)
            case "mismarked":
                return int((arrived["tos"] >> 2 != self._dscp[arrived["flow"]]).sum())
        delays_us = (arrived["rx_ns"] - arrived["tx_ns"]) / 1000
        if not received:
            return nan
        return float(_DELAYS[metric](delays_us))

    def _span(self, over_us: int) -> tuple[tuple[int, Array], tuple[int, Array]] | None:
        """What was due, and when, at the begin and the end of the span."""
        if not self._dues:
            return None
        end_us = self._dues[-1][0] - IN_FLIGHT_US
        ends = [each for each in self._dues if each[0] <= end_us]
        begins = [each for each in ends if each[0] <= end_us - over_us]
        return (begins[-1], ends[-1]) if begins else None

    def _arrived(self, first: Array, after: Array, mask: Array) -> Array:
        """The first record of each datagram, numbered ``first`` to before ``after``, of the flows of ``mask``."""
        if not self._recent:
            return np.zeros(0, RECORD)
        records = np.concatenate([each for _, each in self._recent])
        flow, seq = records["flow"], records["seq"]
        records = records[mask[flow] & (seq >= first[flow]) & (seq < after[flow])]
        numbers = records["flow"].astype(np.uint64) << np.uint64(32) | records["seq"]
        return np.asarray(records[np.unique(numbers, return_index=True)[1]])

    def _mask(self, selection: Selection, denied: bool) -> Array:
        if (selection, denied) not in self._masks:
            chosen = [_is_selected(flow, selection, denied) for flow in self._flows]
            self._masks[selection, denied] = np.array(chosen, bool)
        return self._masks[selection, denied]


_DELAYS: dict[str, Callable[[Array], Any]] = {
    "delay_min": np.min,
    "delay_mean": np.mean,
    "delay_p50": np.median,
    "delay_p99": lambda delays: np.percentile(delays, 99),
    "delay_max": np.max,
}


def _is_selected(flow: FlowSpec, selection: Selection, denied: bool) -> bool:
    if (flow.expect is Expect.DENIED) is not denied or selection.class_name not in (None, flow.class_name):
        return False
    if selection.traffic is None:
        return flow.kind is not FlowKind.CONTROL
    return selection.traffic in flow.groups
