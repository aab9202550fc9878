"""Freezes of video flows. Pure.

A frame is a burst of datagrams, or what a table of video says (`schedules.frames_of`). It is complete when all its
datagrams have arrived, and is shown then, unless a later one was shown before. As in W3C's "Identifiers for WebRTC's
Statistics API" (freezeCount), a picture freezes where two frames shown one after the other are at least
max(3 d, d + 150 ms) apart, d being the usual time between frames: here the flow's own interval, not the mean of the
last 30. The time until the first frame and after the last counts alike. Every frame counts as decodable by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helsewan.lab.flows.flowspec import FlowKind
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.arrivals import Arrivals
from helsewan.scenarios.results.datagrams.schedules import Schedules

SPARE_NS = 150_000_000


@dataclass(frozen=True)
class Freezes:
    """Freezes of a batch's flows, by the flow's number in it; times in ns from the run's start. ``is_video``: by
    flow."""

    is_video: Array
    flow: Array
    begin_ns: Array
    end_ns: Array

    def within(self, begin_ns: int, end_ns: int) -> dict[str, Array]:
        """How many of them touch a phase, and their time within it; NaN for other flows than video."""
        overlap_ns = np.minimum(self.end_ns, end_ns) - np.maximum(self.begin_ns, begin_ns)
        inside = overlap_ns > 0
        count = np.bincount(self.flow[inside], minlength=len(self.is_video))
        time_ns = np.bincount(self.flow[inside], overlap_ns[inside], minlength=len(self.is_video))
        return {
            "freezes": np.where(self.is_video, count, np.nan),
            "freeze_time_us": np.where(self.is_video, time_ns / 1000, np.nan),
        }


def freezes(schedules: Schedules, first: int, end: int, came: Arrivals, due: Array) -> Freezes:
    """The freezes of flows number ``first`` to before ``end``, of which ``due`` datagrams came due each."""
    flows = schedules.flows[first:end]
    is_video = np.array([flow.kind is FlowKind.VIDEO for flow in flows], bool)
    found_flow, found_begin, found_end = [], [], []
    bounds = np.searchsorted(came.key, np.arange(len(flows) + 1, dtype=np.int64) << 32)
    for number in np.flatnonzero(is_video & (due > 0)).tolist():
        own = slice(int(bounds[number]), int(bounds[number + 1]))
        seq = came.key[own] & 0xFFFFFFFF
        frame, size, interval_ns = schedules.frames_of(first + number, seq)
        delay_ns = came.delay_ns[own]
        begin_ns = int(schedules.start_ns[first + number]) + (int(delay_ns.min()) if len(seq) else 0)
        end_ns = max(int(schedules.stop_ns[first + number]), begin_ns)
        shown_ns = np.minimum(_shown(frame, size, came.due_ns[own] + delay_ns), end_ns)
        times_ns = np.concatenate(([begin_ns], shown_ns, [end_ns]))
        long = np.flatnonzero(np.diff(times_ns) >= max(3 * interval_ns, interval_ns + SPARE_NS))
        found_flow.append(np.full(len(long), number))
        found_begin.append(times_ns[long])
        found_end.append(times_ns[long + 1])
    none = np.zeros(0, np.int64)
    return Freezes(is_video, *(np.concatenate([none, *parts]) for parts in (found_flow, found_begin, found_end)))


def _shown(frame: Array, size: Array, arrival_ns: Array) -> Array:
    """When the complete ones of a flow's frames are shown; all by datagram, in the order of their numbers."""
    if not len(frame):
        return arrival_ns
    begin = np.flatnonzero(np.concatenate(([True], frame[1:] != frame[:-1])))
    complete = np.diff(np.append(begin, len(frame))) == size[begin]
    ready_ns = np.maximum.reduceat(arrival_ns, begin)[complete]
    shown: Array = ready_ns[ready_ns == np.maximum.accumulate(ready_ns)]  # a frame that is late is not shown
    return shown
