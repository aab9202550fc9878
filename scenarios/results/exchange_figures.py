"""Figures of TCP requests and responses for each exchange and phase. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from helsewan.lab.flows.flowspec import ExchangeSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.traffic.transactions import Exchange


@dataclass(frozen=True, slots=True)
class ExchangeFigures:
    """The figures of the requests begun in a phase; NaN where there is nothing to take a figure from."""

    attempted: int
    completed: int
    failed: int
    failure: float = nan
    response_p50_us: float = nan
    response_p99_us: float = nan


@dataclass(frozen=True)
class ExchangeMeasurement:
    """Figures of every exchange spec in every phase, and the response times behind them."""

    figures: Mapping[tuple[int, str], ExchangeFigures]
    responses_us: Mapping[tuple[int, str], Array] = field(repr=False)

    def pool(self, spec_ids: Iterable[int], phase: str) -> ExchangeFigures:
        """Several specs as one."""
        keys = [(id_, phase) for id_ in spec_ids]
        attempted = sum(self.figures[key].attempted for key in keys)
        return _figures(attempted, np.concatenate([np.zeros(0), *(self.responses_us[key] for key in keys)]))


def measure_exchanges(
    done: Sequence[Exchange], specs: Sequence[ExchangeSpec], windows: Sequence[Window]
) -> ExchangeMeasurement:
    """Figures of ``specs`` in ``windows``; a request belongs to the phase it began in."""
    figures: dict[tuple[int, str], ExchangeFigures] = {}
    responses_us: dict[tuple[int, str], Array] = {}
    for spec in specs:
        own = [exchange for exchange in done if exchange.spec_id == spec.id]
        for window in windows:
            inside = [one for one in own if window.start_us <= one.begin_us < window.end_us]
            key = spec.id, window.name
            responses_us[key] = np.array([one.end_us - one.begin_us for one in inside if one.ok])
            figures[key] = _figures(len(inside), responses_us[key])
    return ExchangeMeasurement(figures, responses_us)


def _figures(attempted: int, responses_us: Array) -> ExchangeFigures:
    completed = len(responses_us)
    failed = attempted - completed
    p50, p99 = np.percentile(responses_us, (50, 99)) if completed else (nan, nan)
    return ExchangeFigures(
        attempted, completed, failed, failed / attempted if attempted else nan, float(p50), float(p99)
    )
