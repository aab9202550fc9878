"""Freezes of video flows. Pure.

A frame is the burst of datagrams that are due together; it is complete when all have arrived, and is shown then, unless
a later one was shown before. As in W3C's "Identifiers for WebRTC's Statistics API" (freezeCount), a picture freezes
where two frames shown one after the other are at least max(3 d, d + 150 ms) apart, d being the usual time between
frames: here the flow's own interval, not the mean of the last 30. The time until the first frame and after the last
counts alike. Every frame counts as decodable by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helsewan.lab.flows.flowspec import FlowKind, FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.arrivals import Arrivals

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


def freezes(flows: Sequence[FlowSpec], came: Arrivals, due: Array) -> Freezes:
    """The freezes of a batch's ``flows``, of which ``due`` datagrams came due each."""
    is_video = np.array([flow.kind is FlowKind.VIDEO for flow in flows], bool)
    shown_flow, shown_ns = _shown(flows, came, is_video)
    watched = [number for number, flow in enumerate(flows) if is_video[number] and due[number]]
    least_ns = np.full(len(flows), 2**62)
    np.minimum.at(least_ns, came.key >> 32, came.delay_ns)
    begin_ns = {n: flows[n].start_us * 1000 + (int(least_ns[n]) if least_ns[n] < 2**62 else 0) for n in watched}
    end_ns = {n: max(flows[n].stop_us * 1000, begin_ns[n]) for n in watched}
    edges = np.array(watched * 2, np.int64)
    flow = np.concatenate([shown_flow, edges])
    times_ns = np.concatenate([shown_ns, np.array([*begin_ns.values(), *end_ns.values()], np.int64)])
    order = np.lexsort((times_ns, flow))
    flow, times_ns = flow[order], times_ns[order]
    interval_ns = np.array([one.interval_ns for one in flows], np.int64)[flow[1:]]
    long = np.diff(times_ns) >= np.maximum(3 * interval_ns, interval_ns + SPARE_NS)
    found = np.flatnonzero(long & (flow[1:] == flow[:-1]))
    return Freezes(is_video, flow[found], times_ns[found], times_ns[found + 1])


def _shown(flows: Sequence[FlowSpec], came: Arrivals, is_video: Array) -> tuple[Array, Array]:
    """Flow and time of every frame that was shown, by flow and number."""
    flow = came.key >> 32
    inside = is_video[flow] if len(flow) else np.zeros(0, bool)
    if not inside.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    flow = flow[inside]
    burst = np.array([one.burst for one in flows], np.int64)
    frame = (flow << 32) | ((came.key[inside] & 0xFFFFFFFF) // burst[flow])
    begin = np.flatnonzero(np.concatenate(([True], frame[1:] != frame[:-1])))
    ready = (flow << 48) | np.clip(came.due_ns[inside] + came.delay_ns[inside], 0, (1 << 48) - 1)
    ready = np.maximum.reduceat(ready, begin)
    complete = np.diff(np.append(begin, len(frame))) == burst[flow[begin]]
    ready = ready[complete]
    if len(ready):
        latest = np.maximum.accumulate(ready)  # flows ascend
        ready = ready[ready == latest]  # a frame that is late is not shown
    return ready >> 48, ready & ((1 << 48) - 1)
