"""From records of datagrams to figures for each flow and phase. Pure; all flows at once, see `results.datagrams`.

A datagram belongs to the phase in which it was due, whether or not it arrived, so that sent, received and lost add
up. A ``gap`` is the time between arrivals within the phase, its edges included, by the receiver's clock; the sender's
lateness is subtracted first, so that the gap is the network's and not the machine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import nan
from typing import Any

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, Expect, FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.arrivals import Arrivals, arrivals, batches
from helsewan.scenarios.results.datagrams.availability import block_edges_ns, counted, unavailable_us
from helsewan.scenarios.results.datagrams.delays import (
    delay_figures,
    gap_us,
    jitter_us,
    pooled_delay_figures,
    reordering,
)
from helsewan.scenarios.results.datagrams.freezes import Freezes, freezes
from helsewan.scenarios.results.datagrams.losses import loss_periods
from helsewan.scenarios.results.datagrams.playout import voice_quality
from helsewan.scenarios.results.datagrams.samples import Samples
from helsewan.scenarios.results.datagrams.schedules import Schedules
from helsewan.scenarios.results.datagrams.segments import reduced, summed


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
    loss_bursts: int = 0
    loss_burst_mean: float = nan
    loss_burst_max: int = 0
    reordering: float = nan
    reordering_extent_max: int = 0
    delay_min_us: float = nan
    delay_mean_us: float = nan
    delay_p50_us: float = nan
    delay_p95_us: float = nan
    delay_p99_us: float = nan
    delay_max_us: float = nan
    pdv_p99_us: float = nan
    jitter_us: float = nan
    gap_us: float = nan
    rate_bps: float = nan
    unavailable_us: float = nan
    r_factor: float = nan
    mos: float = nan
    freezes: float = nan
    freeze_time_us: float = nan


COLUMNS = {one.name: np.dtype(np.int64 if one.type == "int" else float) for one in fields(Figures)}


class FigureTable(Mapping[tuple[int, str], Figures]):
    """Figures by flow id and phase, kept as columns: ``columns[name][phase number, flow id]``."""

    def __init__(self, phases: Sequence[str], flows: int) -> None:
        self.phases = {name: number for number, name in enumerate(phases)}
        self.flows = flows
        self.columns = {name: np.zeros((len(phases), flows), dtype) for name, dtype in COLUMNS.items()}

    def __getitem__(self, key: tuple[int, str]) -> Figures:
        flow, phase = key
        place = self.phases[phase], flow
        if not 0 <= flow < self.flows:
            raise KeyError(key)
        return Figures(**{name: column[place].item() for name, column in self.columns.items()})

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return ((flow, phase) for flow in range(self.flows) for phase in self.phases)

    def __len__(self) -> int:
        return self.flows * len(self.phases)


@dataclass(frozen=True)
class Measurement:
    """Figures of every flow in every phase, and what they were taken from."""

    figures: FigureTable
    stray: int  # records of no known flow
    samples: Samples = field(repr=False)

    def delays_us(self, flow_ids: Iterable[int], phase: str) -> Array:
        """The one-way delays of the flows' datagrams of a phase that arrived, flow by flow."""
        return self.samples.delays_ns(list(flow_ids), self.figures.phases[phase]) / 1000

    def pool(self, flow_ids: Iterable[int], phase: str) -> Figures:
        """Several flows as one: counts and rates are summed, delays pooled, seconds judged together; jitter, gap, the
        longest burst and the greatest extent are the worst flow's, R and MOS the mean over flows."""
        ids, number = list(flow_ids), self.figures.phases[phase]
        parts = {name: column[number, ids] for name, column in self.figures.columns.items()}
        total = {name: int(parts[name].sum()) for name in _COUNTS}
        delays: dict[str, Any] = pooled_delay_figures(self.samples.delays_ns(ids, number))
        return Figures(
            **total,
            loss=_ratio(total["lost"], total["sent"]),
            loss_burst_mean=_ratio(total["lost"], total["loss_bursts"]),
            loss_burst_max=int(parts["loss_burst_max"].max(initial=0)),
            reordering=_ratio(total["reordered"], total["received"]),
            reordering_extent_max=int(parts["reordering_extent_max"].max(initial=0)),
            jitter_us=_known(np.fmax, parts["jitter_us"]),
            gap_us=_known(np.fmax, parts["gap_us"]),
            rate_bps=float(np.nansum(parts["rate_bps"])) if ids else nan,
            unavailable_us=self.samples.unavailable_us(ids, number),
            r_factor=_mean(parts["r_factor"]),
            mos=_mean(parts["mos"]),
            freezes=_known(np.add, parts["freezes"]),
            freeze_time_us=_known(np.add, parts["freeze_time_us"]),
            **delays,
        )


def measure(
    records: Array, flows: Sequence[FlowSpec], ends: Sequence[Endpoint], windows: Sequence[Window], due: Array
) -> Measurement:
    """Figures of ``flows`` in ``windows``.

    ``records`` are the engine's (``RECORD``), ``ends[i]`` the socket whose receiver id is i,
    ``due[i]`` how many datagrams of flow i were due in all.
    """
    work = _Work(records, flows, ends, windows, due)
    for batch in batches(records, len(flows)):
        came = arrivals(batch, work.schedules, work.receiver, work.dscp)
        work.take(batch.first, batch.end, came)
    return work.done(int((records["flow"] >= len(flows)).sum()))


class _Work:
    """What a measurement consists of while batches are taken into it."""

    def __init__(
        self,
        records: Array,
        flows: Sequence[FlowSpec],
        ends: Sequence[Endpoint],
        windows: Sequence[Window],
        due: Array,
    ) -> None:
        ids = {end: id_ for id_, end in enumerate(ends)}
        self.flows, self.windows = flows, tuple(windows)
        self.due = np.asarray(due, np.int64)[: len(flows)]
        self.schedules = Schedules(flows)
        self.receiver = np.array([ids[flow.destination] for flow in flows], np.int64)
        self.dscp = np.array([flow.dscp for flow in flows], np.int64)
        self.denied = np.array([flow.expect is Expect.DENIED for flow in flows], bool)
        self.table = FigureTable([window.name for window in windows], len(flows))
        self.edges_ns = (
            np.array([[window.start_us, window.end_us] for window in windows], np.int64).reshape(-1, 2) * 1000
        )
        # First and past-the-last number of each window and flow.
        self.first, self.last = (
            np.minimum(self.schedules.due_before(edge, 0, len(flows)), self.due[:, None]).T for edge in self.edges_ns.T
        )
        self.last = np.maximum(self.first, self.last)
        self.low, self.high = np.zeros_like(self.first), np.zeros_like(self.last)
        self.bounds = np.zeros(len(flows) + 1, np.int64)
        self.seq, self.delay_ns = np.zeros(len(records), np.uint32), np.zeros(len(records), np.int64)
        self.block_edges_ns = block_edges_ns(int(max([0, *self.edges_ns[:, 1], *self.schedules.stop_ns])))
        self.blocks_sent = np.zeros((len(flows), len(self.block_edges_ns) - 1), np.int32)
        self.blocks_received = np.zeros_like(self.blocks_sent)

    def take(self, first: int, end: int, came: Arrivals) -> None:
        """Take a batch: the arrivals of flows ``first`` to before ``end``."""
        here = slice(first, end)
        known = (came.key & _SEQ) < self.due[here][came.key >> 32]  # a number that never came due is of no datagram
        at = int(self.bounds[first])
        self.seq[at : at + len(came.key)] = came.key & _SEQ
        self.delay_ns[at : at + len(came.key)] = came.delay_ns
        base = np.arange(end - first, dtype=np.int64) << 32
        own = np.searchsorted(came.key, np.append(base, (end - first) << 32))
        self.bounds[first : end + 1] = at + own
        before = np.minimum(self.schedules.due_before(self.block_edges_ns, first, end), self.due[here, None])
        self.blocks_sent[here] = np.diff(before, axis=1)
        self.blocks_received[here] = counted(
            (came.key >> 32)[known], came.due_ns[known], end - first, self.block_edges_ns
        )
        least_ns = reduced(np.minimum, came.delay_ns, own[:-1], own[1:], 0)
        frozen = freezes(self.schedules, first, end, came, self.due[here])
        for number, window in enumerate(self.windows):
            keys = base + self.first[number, here], base + self.last[number, here]
            spans = np.searchsorted(came.key, keys[0]), np.searchsorted(came.key, keys[1])
            self.low[number, here], self.high[number, here] = at + spans[0], at + spans[1]
            figures = self._window(here, came, window, keys, spans, least_ns, frozen)
            for name, values in figures.items():
                self.table.columns[name][number, here] = values

    def _window(
        self,
        here: slice,
        came: Arrivals,
        window: Window,
        keys: tuple[Array, Array],
        spans: tuple[Array, Array],
        least_ns: Array,
        frozen: Freezes,
    ) -> dict[str, Array]:
        """A batch's figures in one window."""
        received, sent = spans[1] - spans[0], keys[1] - keys[0]
        right, wrong, mismarked = (
            np.searchsorted(key, keys[1]) - np.searchsorted(key, keys[0])
            for key in (came.right_key, came.wrong_key, came.mismarked_key)
        )
        denied, lost = self.denied[here], sent - received
        delays = delay_figures(came.delay_ns, *spans)
        bursts, longest = loss_periods(came.key, *spans, *keys)
        order = reordering(came, *keys)
        begin_ns, end_ns = self._active(here, window, least_ns)
        active_ns = end_ns - begin_ns
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN, as it should be
            ratios = {
                "loss": lost / sent,
                "loss_burst_mean": lost / bursts,
                "reordering": order["reordered"] / received,
                "rate_bps": np.where(active_ns > 0, summed(came.bytes, *spans) * 8e9 / active_ns, nan),
            }
        return {
            "sent": sent,
            "received": received,
            "leaked": np.where(denied, right + wrong, 0),
            "misdelivered": np.where(denied, 0, wrong),
            "mismarked": np.where(denied, 0, mismarked),
            "lost": lost,
            "duplicates": right - received,
            "loss_bursts": bursts,
            "loss_burst_max": longest,
            "jitter_us": jitter_us(came, *keys, *spans),
            "gap_us": gap_us(came, begin_ns, end_ns),
            "unavailable_us": unavailable_us(
                self.blocks_sent[here],
                self.blocks_received[here],
                self.block_edges_ns,
                window.start_us * 1000,
                window.end_us * 1000,
            ),
            **ratios,
            **order,
            **delays,
            **voice_quality(self.flows[here], came, spans, keys, delays["delay_min_us"]),
            **frozen.within(window.start_us * 1000, window.end_us * 1000),
        }

    def _active(self, here: slice, window: Window, least_ns: Array) -> tuple[Array, Array]:
        """The part of the window in which the receiver may expect each flow: one that begins inside it arrives one
        delay after its begin."""
        start_ns = self.schedules.start_ns[here]
        begin_ns = np.where(start_ns > window.start_us * 1000, start_ns + least_ns, window.start_us * 1000)
        return begin_ns, np.minimum(window.end_us * 1000, self.schedules.stop_ns[here])

    def done(self, stray: int) -> Measurement:
        """The measurement, with all batches taken."""
        held = int(self.bounds[-1])
        samples = Samples(
            self.schedules,
            self.due,
            self.seq[:held],
            self.delay_ns[:held],
            self.bounds,
            self.low,
            self.high,
            self.edges_ns,
            self.block_edges_ns,
            self.blocks_sent,
            self.blocks_received,
        )
        return Measurement(self.table, stray, samples)


_SEQ = 0xFFFFFFFF
_COUNTS = (
    "sent", "received", "leaked", "misdelivered", "mismarked", "lost", "duplicates", "reordered", "loss_bursts",
)  # fmt: skip


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _known(operation: np.ufunc, values: Array) -> float:
    """``operation`` over the values that are numbers, NaN where none is."""
    known = values[~np.isnan(values)]
    return float(operation.reduce(known)) if len(known) else nan


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else nan
