"""From records of datagrams to figures for each flow and phase. Pure; vectorised with numpy.

A datagram belongs to the phase in which it was due, whether or not it arrived, so that sent, received and lost add
up. The due time follows from the sequence number: the k-th burst of a flow is due at ``start + k * interval``. A
``gap`` is the time between arrivals within the phase, its edges included, by the receiver's clock; the sender's
lateness is subtracted first, so that the gap is the network's and not the machine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, Expect, FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.voice_quality import mos, mouth_to_ear_ms, rating
from helsewan.scenarios.spec.codecs import CODECS

JITTER_BUFFER_US = 40_000  # playout waits this long after the fastest datagram; later ones count as lost


@dataclass(frozen=True, slots=True)
class Window:
    """A phase as it took place: due times from ``start_us`` to before ``end_us``, from the run's start."""

    name: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a flow's datagrams in a phase; NaN where there is nothing to take a figure from.

    ``spec.checks.metrics.METRICS`` has the meaning of each.
    """

    sent: int
    received: int
    leaked: int
    misdelivered: int
    mismarked: int
    lost: int
    duplicates: int
    reordered: int
    loss: float = nan
    delay_min_us: float = nan
    delay_mean_us: float = nan
    delay_p50_us: float = nan
    delay_p99_us: float = nan
    delay_max_us: float = nan
    pdv_p99_us: float = nan
    jitter_us: float = nan
    gap_us: float = nan
    rate_bps: float = nan
    r_factor: float = nan
    mos: float = nan


@dataclass(frozen=True)
class Measurement:
    """Figures of every flow in every phase, and the delays that they were taken from."""

    figures: Mapping[tuple[int, str], Figures]  # by flow id and phase
    stray: int  # records of no known flow
    delays_us: Mapping[tuple[int, str], Array] = field(repr=False)  # of datagrams that arrived, by flow id and phase

    def pool(self, flow_ids: Iterable[int], phase: str) -> Figures:
        """Several flows as one: counts and rates are summed, delays pooled; jitter and gap are the worst flow's, R and
        MOS the mean over flows."""
        keys = [(flow, phase) for flow in flow_ids]
        return _pooled([self.figures[key] for key in keys], [self.delays_us[key] for key in keys])


def measure(
    records: Array, flows: Sequence[FlowSpec], ends: Sequence[Endpoint], windows: Sequence[Window], due: Array
) -> Measurement:
    """Figures of ``flows`` in ``windows``.

    ``records`` are the engine's (``RECORD``), ``ends[i]`` the socket whose receiver id is i,
    ``due[i]`` how many datagrams of flow i were due in all.
    """
    receiver = {end: id_ for id_, end in enumerate(ends)}
    figures: dict[tuple[int, str], Figures] = {}
    delays_us: dict[tuple[int, str], Array] = {}
    for flow, arrived in _by_flow(records, flows):
        arrivals = _arrivals(arrived, flow, receiver[flow.destination])
        for window in windows:
            figures[flow.id, window.name], delays_us[flow.id, window.name] = _figures(
                arrivals, flow, window, int(due[flow.id])
            )
    stray = int((records["flow"] >= len(flows)).sum())
    return Measurement(figures, stray, delays_us)


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """One flow's records in order of arrival, as arrays."""

    all_seq: Array  # of every arrival, wherever it was
    right: Array  # whether it was at the right socket
    marked: Array  # whether it carried the right code point
    arrival_us: Array  # at the right socket, had it been sent when due; from the run's start
    seq: Array  # of first arrivals at the right socket
    delay_us: Array  # of those
    bytes: Array  # of those, UDP payload
    reordered: Array  # whether those came after a later one


def _by_flow(records: Array, flows: Sequence[FlowSpec]) -> Iterator[tuple[FlowSpec, Array]]:
    """Every flow with its records in order of arrival."""
    order = np.lexsort((records["rx_ns"], records["flow"]))
    bounds = np.searchsorted(records["flow"], np.arange(len(flows) + 1), sorter=order)
    for flow, first, last in zip(flows, bounds[:-1], bounds[1:], strict=True):
        yield flow, records[order[first:last]]  # a flow at a time: a copy of all would double the memory


def _arrivals(arrived: Array, flow: FlowSpec, receiver: int) -> _Arrivals:
    right = arrived["receiver"] == receiver
    delivered = arrived[right]
    first = np.sort(np.unique(delivered["seq"], return_index=True)[1])
    once = delivered[first]
    seq = once["seq"].astype(np.int64)
    return _Arrivals(
        all_seq=arrived["seq"].astype(np.int64),
        right=right,
        marked=(arrived["tos"] >> 2) == flow.dscp,
        arrival_us=np.sort(flow.due_times(delivered["seq"]) + (delivered["rx_ns"] - delivered["tx_ns"]) / 1000),
        seq=seq,
        delay_us=(once["rx_ns"] - once["tx_ns"]) / 1000,
        bytes=once["bytes"].astype(np.int64),
        reordered=seq < np.maximum.accumulate(seq) if len(seq) else np.zeros(0, bool),
    )


def _figures(arrivals: _Arrivals, flow: FlowSpec, window: Window, due: int) -> tuple[Figures, Array]:
    """One flow's figures in one window, and the delays they were taken from."""
    first, last = (min(flow.due_before(edge_us), due) for edge_us in (window.start_us, window.end_us))
    came = (arrivals.all_seq >= first) & (arrivals.all_seq < last)
    inside = (arrivals.seq >= first) & (arrivals.seq < last)
    delay_us = arrivals.delay_us[inside]
    sent, received = last - first, len(delay_us)
    all_came = int(came.sum())
    right = int((came & arrivals.right).sum())
    denied = flow.expect is Expect.DENIED
    begin_us, end_us = _active(arrivals, flow, window)
    figures = Figures(
        sent=sent,
        received=received,
        leaked=all_came if denied else 0,
        misdelivered=0 if denied else all_came - right,
        mismarked=0 if denied else int((came & arrivals.right & ~arrivals.marked).sum()),
        lost=sent - received,
        duplicates=right - received,
        reordered=int(arrivals.reordered[inside].sum()),
        loss=(sent - received) / sent if sent else nan,
        jitter_us=_jitter_us(delay_us),
        gap_us=_gap_us(arrivals.arrival_us, begin_us, end_us),
        rate_bps=int(arrivals.bytes[inside].sum()) * 8e6 / (end_us - begin_us) if end_us > begin_us else nan,
        **_delay_figures(delay_us),
        **_voice_figures(flow, sent, delay_us),
    )
    return figures, delay_us


def _active(arrivals: _Arrivals, flow: FlowSpec, window: Window) -> tuple[float, float]:
    """The part of the window in which the receiver may expect the flow: a flow that begins inside it arrives one delay
    after its begin."""
    begin_us: float = window.start_us
    if flow.start_us > window.start_us:
        begin_us = flow.start_us + (float(arrivals.delay_us.min()) if len(arrivals.delay_us) else 0.0)
    return begin_us, min(window.end_us, flow.stop_us)


def _gap_us(arrival_us: Array, begin_us: float, end_us: float) -> float:
    """The longest time without an arrival between ``begin_us`` and ``end_us``, both edges included."""
    if end_us <= begin_us:
        return nan
    first, last = arrival_us.searchsorted((begin_us, end_us))
    if first >= last:
        return float(end_us - begin_us)
    inside = arrival_us[first:last]
    between = float((inside[1:] - inside[:-1]).max(initial=0.0))
    return max(between, float(inside[0]) - begin_us, end_us - float(inside[-1]))


_JITTER_WEIGHTS = (15 / 16) ** np.arange(1023, -1, -1)  # of the latest steps; what is older weighs below 1e-28


def _jitter_us(delay_us: Array) -> float:
    """Interarrival jitter (RFC 3550, 6.4.1) at the last arrival: J grows by (|D| - J) / 16 at each; in closed form
    a sum of all |D| with weights that fall by 15/16 each step back."""
    if len(delay_us) < 2:
        return nan
    recent = delay_us[-len(_JITTER_WEIGHTS) - 1 :]
    steps = np.abs(recent[1:] - recent[:-1])
    return float(steps @ _JITTER_WEIGHTS[-len(steps) :]) / 16


def _delay_figures(delay_us: Array) -> dict[str, float]:
    if not len(delay_us):
        return {}
    ordered = np.sort(delay_us)
    least, p99 = float(ordered[0]), _percentile(ordered, 0.99)
    return {
        "delay_min_us": least,
        "delay_mean_us": float(delay_us.sum()) / len(delay_us),
        "delay_p50_us": _percentile(ordered, 0.5),
        "delay_p99_us": p99,
        "delay_max_us": float(ordered[-1]),
        "pdv_p99_us": p99 - least,
    }


def _percentile(ordered: Array, share: float) -> float:
    """A percentile of sorted values, interpolated as numpy does it; numpy's own takes ten times as long."""
    place = (len(ordered) - 1) * share
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    return low + (high - low) * (place - below)


def _voice_figures(flow: FlowSpec, sent: int, delay_us: Array) -> dict[str, float]:
    """R and MOS behind a fixed playout buffer; the lowest where nothing arrived."""
    if not flow.codec or not sent:
        return {}
    if not len(delay_us):
        return {"r_factor": 0.0, "mos": mos(0.0)}
    codec = CODECS[flow.codec]
    least_us = float(delay_us.min())
    in_time = int((delay_us <= least_us + JITTER_BUFFER_US).sum())
    r = rating(mouth_to_ear_ms(least_us, JITTER_BUFFER_US, codec), 1 - in_time / sent, codec)
    return {"r_factor": r, "mos": mos(r)}


def _pooled(parts: Sequence[Figures], delays_us: Sequence[Array]) -> Figures:
    def total(name: str) -> int:
        return sum(getattr(part, name) for part in parts)

    def known(name: str) -> list[float]:
        values = (getattr(part, name) for part in parts)
        return [value for value in values if value == value]

    def mean(name: str) -> float:
        values = known(name)
        return sum(values) / len(values) if values else nan

    sent, lost = total("sent"), total("lost")
    return Figures(
        sent=sent,
        received=total("received"),
        leaked=total("leaked"),
        misdelivered=total("misdelivered"),
        mismarked=total("mismarked"),
        lost=lost,
        duplicates=total("duplicates"),
        reordered=total("reordered"),
        loss=lost / sent if sent else nan,
        jitter_us=max(known("jitter_us"), default=nan),
        gap_us=max(known("gap_us"), default=nan),
        rate_bps=sum(known("rate_bps")) if parts else nan,
        r_factor=mean("r_factor"),
        mos=mean("mos"),
        **_delay_figures(np.concatenate(delays_us) if delays_us else np.zeros(0)),
    )
