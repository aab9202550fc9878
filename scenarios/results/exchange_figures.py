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
    response_p95_us: float = nan
    response_p99_us: float = nan
    response_max_us: float = nan


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
    columns = [(one.spec_id, one.begin_us, one.end_us, one.ok) for one in done]
    table = np.array(columns, [("spec", "i8"), ("begin_us", "f8"), ("end_us", "f8"), ("ok", "?")])
    table = table[np.argsort(table["spec"], kind="stable")]
    figures: dict[tuple[int, str], ExchangeFigures] = {}
    responses_us: dict[tuple[int, str], Array] = {}
    for spec in specs:
        own = table[slice(*np.searchsorted(table["spec"], (spec.id, spec.id + 1)))]
        for window in windows:
            inside = own[(window.start_us <= own["begin_us"]) & (own["begin_us"] < window.end_us)]
            answered = inside[inside["ok"]]
            key = spec.id, window.name
            responses_us[key] = answered["end_us"] - answered["begin_us"]
            figures[key] = _figures(len(inside), responses_us[key])
    return ExchangeMeasurement(figures, responses_us)


def _figures(attempted: int, responses_us: Array) -> ExchangeFigures:
    completed = len(responses_us)
    failed = attempted - completed
    times_us = np.percentile(responses_us, (50, 95, 99, 100)).tolist() if completed else [nan] * 4
    return ExchangeFigures(attempted, completed, failed, failed / attempted if attempted else nan, *times_us)
