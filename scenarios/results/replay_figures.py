"""Figures of replayed packets for each flow and phase. Pure; vectorised with numpy.

A packet belongs to the phase in which it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from helsewan.lab.flows.records import Array
from helsewan.lab.flows.replay_plan import ReplayFlow, ReplayPlan
from helsewan.scenarios.results.measure import Window

FlowId = tuple[str, int]  # entry of the traffic, ReplayFlow.id


@dataclass(frozen=True, slots=True)
class ReplayFigures:
    """The figures of a flow's packets in a phase; NaN where there is nothing to take a figure from.

    ``spec.checks.metrics.METRICS`` has the meaning of each."""

    replay_sent: int
    replay_received: int
    replay_lost: int
    replay_leaked: int
    replay_duplicates: int
    replay_reordered: int
    replay_loss: float = nan
    replay_delay_p50_us: float = nan
    replay_delay_p95_us: float = nan
    replay_delay_p99_us: float = nan
    replay_delay_max_us: float = nan


@dataclass(frozen=True)
class ReplayMeasurement:
    """Figures of every flow in every phase, and the delays behind them."""

    figures: Mapping[tuple[FlowId, str], ReplayFigures]
    delays_us: Mapping[tuple[FlowId, str], Array] = field(repr=False)

    def pool(self, flows: Iterable[FlowId], phase: str) -> ReplayFigures:
        """Several flows as one: counts are summed, delays pooled."""
        keys = [(flow, phase) for flow in flows]
        own = [self.figures[key] for key in keys]
        return _figures(
            sum(figures.replay_sent for figures in own),
            sum(figures.replay_received for figures in own),
            sum(figures.replay_leaked for figures in own),
            sum(figures.replay_duplicates for figures in own),
            sum(figures.replay_reordered for figures in own),
            np.concatenate([np.zeros(0), *(self.delays_us[key] for key in keys)]),
        )


def no_replays() -> ReplayMeasurement:
    """The measurement of a run without replays."""
    return ReplayMeasurement({}, {})


def measure_replays(
    replays: Iterable[tuple[ReplayPlan, Array]], epoch_ns: int, windows: Sequence[Window]
) -> ReplayMeasurement:
    """Figures of the flows of ``replays``, each with its records (``replay_records.RECORD``); times of ``windows``
    count from ``epoch_ns``."""
    figures: dict[tuple[FlowId, str], ReplayFigures] = {}
    delays_us: dict[tuple[FlowId, str], Array] = {}
    for plan, records in replays:
        for flow, own in _by_flow(records, plan.flows):
            late = _reordered(own)
            sent_us = (own["sent_ns"] - epoch_ns) / 1000
            arrived = own["received_ns"] > 0
            delay_us = (own["received_ns"] - own["sent_ns"]) / 1000
            for window in windows:
                inside = (sent_us >= window.start_us) & (sent_us < window.end_us)
                came = inside & arrived
                key = (flow.entry, flow.id), window.name
                delays_us[key] = delay_us[came]
                received = int(came.sum())
                leaked = received if flow.is_denied else 0
                duplicates = int(own["duplicates"][inside].sum())
                figures[key] = _figures(
                    int(inside.sum()), received, leaked, duplicates, int(late[inside].sum()), delays_us[key]
                )
    return ReplayMeasurement(figures, delays_us)


def _by_flow(records: Array, flows: Sequence[ReplayFlow]) -> Iterator[tuple[ReplayFlow, Array]]:
    """Every flow with its records in the order of sending."""
    order = np.argsort(records["flow"], kind="stable")
    bounds = np.searchsorted(records["flow"], np.arange(len(flows) + 1), sorter=order)
    for flow, first, last in zip(flows, bounds[:-1], bounds[1:], strict=True):
        yield flow, records[order[first:last]]


def _reordered(own: Array) -> Array:
    """Of each packet of a flow, in the order of sending, whether it came out after a later one (RFC 4737, 3.3)."""
    late = np.zeros(len(own), bool)
    (arrived,) = np.nonzero(own["received_ns"])
    by_arrival = arrived[np.argsort(own["received_ns"][arrived], kind="stable")]
    if len(by_arrival):
        late[by_arrival] = by_arrival < np.maximum.accumulate(by_arrival)
    return late


def _figures(sent: int, received: int, leaked: int, duplicates: int, reordered: int, delays_us: Array) -> ReplayFigures:
    quantiles = np.percentile(delays_us, (50, 95, 99, 100)) if len(delays_us) else (nan, nan, nan, nan)
    return ReplayFigures(
        sent,
        received,
        sent - received,
        leaked,
        duplicates,
        reordered,
        (sent - received) / sent if sent else nan,
        *map(float, quantiles),
    )
