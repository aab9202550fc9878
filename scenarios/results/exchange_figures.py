"""Figures of applications' exchanges for each of their specs and phase. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

import numpy as np

from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.applications import Application, Ebxml, SipCall
from helsewan.lab.flows.flowspec import ExchangeSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.measure import Window


@dataclass(frozen=True, slots=True)
class ExchangeFigures:
    """The figures of the exchanges begun in a phase; NaN where there is nothing to take a figure from.

    ``spec.checks.metrics.METRICS`` has the meaning of each.
    """

    attempted: int
    completed: int
    failed: int
    failure: float = nan
    success: float = nan
    response_p50_us: float = nan
    response_p95_us: float = nan
    response_p99_us: float = nan
    throughput_bps: float = nan
    receipt_p50_us: float = nan
    receipt_p99_us: float = nan
    call_setup_p50_us: float = nan
    call_setup_p95_us: float = nan
    call_setup_p99_us: float = nan
    call_duration_p50_us: float = nan


@dataclass(frozen=True)
class Sample:
    """What figures of exchanges are taken from. Times in microseconds, one for each exchange that has it: from begin to
    the last byte (``responses``), to the transport receipt (``receipts``), to a call's answer (``set_ups``); from a
    call's answer to its end (``talks``)."""

    attempted: int
    completed: int
    received_bytes: int
    duration_us: int
    responses: Array
    receipts: Array
    set_ups: Array
    talks: Array


@dataclass(frozen=True)
class ExchangeMeasurement:
    """Figures of every exchange spec in every phase, and what they were taken from."""

    figures: Mapping[tuple[int, str], ExchangeFigures]
    samples: Mapping[tuple[int, str], Sample] = field(repr=False)

    def pool(self, spec_ids: Iterable[int], phase: str) -> ExchangeFigures:
        """Several specs as one."""
        parts = [self.samples[id_, phase] for id_ in spec_ids]

        def joined(name: str) -> Array:
            return np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)])

        return _figures(
            Sample(
                attempted=sum(part.attempted for part in parts),
                completed=sum(part.completed for part in parts),
                received_bytes=sum(part.received_bytes for part in parts),
                duration_us=max((part.duration_us for part in parts), default=0),
                responses=joined("responses"),
                receipts=joined("receipts"),
                set_ups=joined("set_ups"),
                talks=joined("talks"),
            )
        )


def measure_exchanges(
    done: Sequence[Exchange], specs: Sequence[ExchangeSpec], windows: Sequence[Window]
) -> ExchangeMeasurement:
    """Figures of ``specs`` in ``windows``; an exchange belongs to the phase it began in."""
    own: dict[int, list[Exchange]] = {spec.id: [] for spec in specs}
    for one in done:
        own[one.spec_id].append(one)
    samples = {
        (spec.id, window.name): _sample(
            [one for one in own[spec.id] if window.start_us <= one.begin_us < window.end_us], spec.application, window
        )
        for spec in specs
        for window in windows
    }
    return ExchangeMeasurement({key: _figures(sample) for key, sample in samples.items()}, samples)


def _sample(inside: Sequence[Exchange], application: Application, window: Window) -> Sample:
    completed = [one for one in inside if one.ok]
    answers = np.array([one.answered_us - one.begin_us for one in inside if not isnan(one.answered_us)])
    is_call, none = isinstance(application, SipCall), np.zeros(0)
    return Sample(
        attempted=len(inside),
        completed=len(completed),
        received_bytes=sum(one.received_bytes for one in completed),
        duration_us=window.end_us - window.start_us,
        responses=none if is_call else np.array([one.end_us - one.begin_us for one in completed]),
        receipts=answers if isinstance(application, Ebxml) else none,
        set_ups=answers if is_call else none,
        talks=np.array([one.end_us - one.answered_us for one in completed]) if is_call else none,
    )


def _figures(sample: Sample) -> ExchangeFigures:
    attempted, completed = sample.attempted, sample.completed
    response_p50_us, response_p95_us, response_p99_us = _percentiles(sample.responses)
    receipt_p50_us, _, receipt_p99_us = _percentiles(sample.receipts)
    call_setup_p50_us, call_setup_p95_us, call_setup_p99_us = _percentiles(sample.set_ups)
    call_duration_p50_us, _, _ = _percentiles(sample.talks)
    return ExchangeFigures(
        attempted=attempted,
        completed=completed,
        failed=attempted - completed,
        failure=(attempted - completed) / attempted if attempted else nan,
        success=completed / attempted if attempted else nan,
        response_p50_us=response_p50_us,
        response_p95_us=response_p95_us,
        response_p99_us=response_p99_us,
        throughput_bps=sample.received_bytes * 8e6 / sample.duration_us if len(sample.responses) else nan,
        receipt_p50_us=receipt_p50_us,
        receipt_p99_us=receipt_p99_us,
        call_setup_p50_us=call_setup_p50_us,
        call_setup_p95_us=call_setup_p95_us,
        call_setup_p99_us=call_setup_p99_us,
        call_duration_p50_us=call_duration_p50_us,
    )


def _percentiles(times_us: Array) -> tuple[float, float, float]:
    """The median, and the 95th and 99th percentiles."""
    if not len(times_us):
        return nan, nan, nan
    p50, p95, p99 = np.percentile(times_us, (50, 95, 99))
    return float(p50), float(p95), float(p99)
