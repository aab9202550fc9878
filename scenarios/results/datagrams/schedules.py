"""When the datagrams of many flows are due, as arrays. Pure.

Flows that are paced are computed all at once; those that follow a table (`lab.flows.schedule`) one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.flows.records import Array


class Schedules:
    """The schedules of ``flows``. Times are ns from the run's start, datagrams are meant by their sequence numbers."""

    def __init__(self, flows: Sequence[FlowSpec]) -> None:
        self.flows = flows
        self.start_ns = np.array([flow.start_us * 1000 for flow in flows], np.int64)
        self.stop_ns = np.array([flow.stop_us * 1000 for flow in flows], np.int64)
        self._interval_ns = np.array([flow.interval_ns for flow in flows], np.int64)
        self._burst = np.array([flow.burst for flow in flows], np.int64)
        self._follows_table = np.array([flow.schedule is not None for flow in flows], bool)

    def due_before(self, times_ns: Array, first: int, end: int) -> Array:
        """How many datagrams of flows ``first`` to before ``end`` are due before each time: a row for each flow."""
        here = slice(first, end)
        active_ns = np.minimum(times_ns, self.stop_ns[here, None]) - self.start_ns[here, None]
        due: Array = np.maximum(-(-active_ns // self._interval_ns[here, None]), 0) * self._burst[here, None]
        for place in np.flatnonzero(self._follows_table[here]).tolist():
            due[place] = self.due_before_of(first + place, times_ns)
        return due

    def due_before_of(self, number: int, times_ns: Array) -> Array:
        """The same of one flow."""
        flow = self.flows[number]
        active_ns = np.minimum(times_ns, self.stop_ns[number]) - self.start_ns[number]
        if flow.schedule is None:
            paced: Array = np.maximum(-(-active_ns // flow.interval_ns), 0) * flow.burst
            return paced
        due = flow.schedule.due_before(flow.offset_ns + np.maximum(active_ns, 0)) - flow.first_entry
        return np.asarray(np.maximum(due, 0))

    def due_ns(self, flow: Array, seq: Array) -> Array:
        """When the datagrams ``seq`` of flows number ``flow`` are due, one for one."""
        due: Array = self.start_ns[flow] + seq // self._burst[flow] * self._interval_ns[flow]
        for number, own in self._of_tables(flow):
            due[own] = self.due_ns_of(number, seq[own])
        return due

    def due_ns_of(self, number: int, seq: Array) -> Array:
        """The same of one flow."""
        flow = self.flows[number]
        if flow.schedule is None:
            return np.asarray(self.start_ns[number] + seq // flow.burst * flow.interval_ns)
        return np.asarray(self.start_ns[number] + flow.schedule.due_ns(seq + flow.first_entry) - flow.offset_ns)

    def frames_of(self, number: int, seq: Array) -> tuple[Array, Array, int]:
        """The video frame that each datagram ``seq`` of a flow is of, how many datagrams that frame has, and the mean
        time between frames (ns). Without a table a frame is a burst; in one it ends with the RTP marker (RFC 6184,
        5.1)."""
        flow = self.flows[number]
        if flow.schedule is None:
            return seq // flow.burst, np.full(len(seq), flow.burst), flow.interval_ns
        table, period_ns = flow.schedule.table, flow.schedule.period_ns
        marker = table["marker"].astype(np.int64)
        frame = np.cumsum(marker) - marker
        in_table = int(frame[-1]) + 1
        rounds, place = np.divmod(seq + flow.first_entry, len(table))
        span_ns = period_ns or int(table["due_ns"][-1] - table["due_ns"][0])
        interval_ns = max(span_ns // max(in_table - (not period_ns), 1), 1)
        return rounds * in_table + frame[place], np.bincount(frame)[frame[place]], interval_ns

    def _of_tables(self, flow: Array) -> Iterator[tuple[int, Array]]:
        """Numbers of the flows in ``flow`` that follow a table, each with the places where it stands."""
        places = np.flatnonzero(self._follows_table[flow])
        places = places[np.argsort(flow[places], kind="stable")]
        numbers, begin = np.unique(flow[places], return_index=True)
        yield from zip(numbers.tolist(), np.split(places, begin[1:]), strict=True) if len(numbers) else ()
