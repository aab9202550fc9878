"""Evaluates assertions: limits on figures of a sliding window. Pure; the same during a run and after it.

A window slides in tenths of its length. A datagram belongs to the windows in which it was due, a request to those in
which it was begun, so that a window can be judged once everything due in it had the time to arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import nan

import numpy as np

from helsewan.common.units import format_duration
from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.checks import CheckResult, Evidence, selected_exchanges, selected_flows
from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.results.outages import ArrivedDatagrams
from helsewan.scenarios.spec.checks.assertions import STEPS, AssertSpec
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Source
from helsewan.scenarios.spec.checks.schema import Over
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import RUN, EventTime


def judge_assertions(spec: ScenarioSpec, evidence: Evidence) -> tuple[CheckResult, ...]:
    """Every assertion of the scenario after the run, in its order. One whose phase never took place is broken."""
    times = {phase.name: phase for phase in evidence.phases}
    results = []
    for name, assertion in spec.assertions.items():
        phase = times.get(assertion.phase or RUN, Window("", 0, 0))
        windows = windows_of(assertion, evidence, grid(assertion, phase.start_us, phase.end_us))
        finding = evaluate(assertion, windows, evidence.event_times, complete=True)
        results.append(as_check(name, assertion, windows, finding))
    return tuple(results)


def windows_of(assertion: AssertSpec, evidence: Evidence, edges: Array) -> Windows:
    """The windows, between ``edges``, of the flows or exchanges that an assertion selects."""
    metric = METRICS[assertion.metric]
    if metric.source is Source.EXCHANGE:
        ids = [one.id for one in selected_exchanges(assertion, metric, evidence)]
        return exchange_windows(assertion, evidence.done, ids, edges)
    return flow_windows(assertion, evidence.arrived, selected_flows(assertion, metric, evidence), edges)


class Outcome(str, Enum):
    """What windows say of an assertion."""

    HOLDS = "holds"
    BROKEN = "broken"
    OPEN = "open"  # later windows decide


@dataclass(frozen=True)
class Windows:
    """The values of a metric in sliding windows: ``values[i, k]`` of the i-th flow (or of all together) in the window
    that begins at ``begins_us[k]``; NaN without a value. ``idle[i, k]``: nothing was due, which breaks no limit."""

    begins_us: Array
    values: Array
    idle: Array

    def hold(self, limit: Limit) -> Array:
        """Whether each window keeps ``limit``, for every flow."""
        return np.asarray((limit.held_by(self.values) | self.idle).all(axis=0))

    def worst(self, limit: Limit, k: int) -> float:
        """The value in window k that is worst by ``limit``; NaN where one has none."""
        values = self.values[~self.idle[:, k], k]
        if not len(values) or np.isnan(values).any():
            return nan
        if limit.comparison == "==":
            return float(values[np.abs(values - limit.bound).argmax()])
        return float(values.max() if limit.comparison in ("<", "<=") else values.min())


def grid(assertion: AssertSpec, begin_us: int, end_us: int) -> Array:
    """The edges of an assertion's windows between two times: window k is from edge k to edge k + ``STEPS``."""
    return np.arange(begin_us, end_us + 1, assertion.window // STEPS, dtype=np.int64)


def flow_windows(assertion: AssertSpec, arrived: ArrivedDatagrams, flows: Sequence[FlowSpec], edges: Array) -> Windows:
    """The windows of datagram flows."""
    count = max(len(edges) - STEPS, 0)
    groups: Iterable[Sequence[FlowSpec]] = [flows] if assertion.over is Over.TOGETHER else ([flow] for flow in flows)
    rows = [_flow_row(assertion.metric, arrived, group, edges, count) for group in groups]
    return _windows(edges, count, rows)


def exchange_windows(assertion: AssertSpec, done: Iterable[Exchange], ids: Sequence[int], edges: Array) -> Windows:
    """The windows of requests and responses, by the ids of their specs."""
    count = max(len(edges) - STEPS, 0)
    of: dict[int, list[Exchange]] = {id_: [] for id_ in ids}
    for exchange in done:
        if exchange.spec_id in of:
            of[exchange.spec_id].append(exchange)
    together = assertion.over is Over.TOGETHER
    groups = [[one for own in of.values() for one in own]] if together else list(of.values())
    return _windows(edges, count, [_exchange_row(assertion.metric, group, edges, count) for group in groups])


_Row = tuple[Array, Array]  # values, idle


def _windows(edges: Array, count: int, rows: Sequence[_Row]) -> Windows:
    values = np.array([values for values, _ in rows]).reshape(len(rows), count)
    idle = np.array([idle for _, idle in rows], dtype=bool).reshape(len(rows), count)
    return Windows(edges[:count], values, idle)


def _flow_row(metric: str, arrived: ArrivedDatagrams, flows: Sequence[FlowSpec], edges: Array, count: int) -> _Row:
    """The values of some flows together."""
    sent, received, payload = np.zeros(count), np.zeros(count), np.zeros(count)
    sent_us: list[Array] = []
    delays_us: list[Array] = []
    for flow in flows:
        seq, arrival_us, delay_us = arrived.of(flow)
        bounds = np.array([arrived.due_before(flow, int(edge)) for edge in edges])
        came = seq.searchsorted(bounds)
        own = (came[STEPS:] - came[:-STEPS])[:count]
        sent += (bounds[STEPS:] - bounds[:-STEPS])[:count]
        received += own
        payload += own * flow.payload_bytes
        sent_us.append(arrival_us - delay_us)
        delays_us.append(delay_us)
    idle = sent == 0
    if metric.startswith("delay_"):
        return _statistic(metric, np.concatenate(sent_us), np.concatenate(delays_us), edges, count), idle
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = {
            "sent": sent,
            "received": received,
            "leaked": received,  # of flows that the policy denies
            "lost": sent - received,
            "loss": (sent - received) / sent,
            "rate": payload * 8e6 / (edges[STEPS] - edges[0] if count else 1),
        }
    return counts[metric], idle


def _exchange_row(metric: str, exchanges: Sequence[Exchange], edges: Array, count: int) -> _Row:
    exchanges = sorted(exchanges, key=lambda one: one.begin_us)
    begin_us = np.array([one.begin_us for one in exchanges])
    ok = np.array([one.ok for one in exchanges], dtype=bool)
    attempted = _in_windows(begin_us, edges, count)
    completed = _in_windows(begin_us[ok], edges, count)
    idle = attempted == 0
    if metric.startswith("response_"):
        took_us = np.array([one.end_us - one.begin_us for one in exchanges])
        return _statistic(metric, begin_us[ok], took_us[ok], edges, count), idle
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = {
            "attempted": attempted,
            "completed": completed,
            "failed": attempted - completed,
            "failure": (attempted - completed) / attempted,
        }
    return counts[metric].astype(float), idle


def _in_windows(times_us: Array, edges: Array, count: int) -> Array:
    bounds = np.sort(times_us).searchsorted(edges)
    return np.asarray(bounds[STEPS:] - bounds[:-STEPS])[:count]


_STATISTICS: Mapping[str, Callable[[Array], float]] = {
    "min": np.min,
    "mean": np.mean,
    "max": np.max,
    "p50": np.median,
    "p99": lambda values: float(np.percentile(values, 99)),
}


def _statistic(metric: str, times_us: Array, values: Array, edges: Array, count: int) -> Array:
    """The metric's statistic of the values at times within each window."""
    order = np.argsort(times_us, kind="stable")
    values, bounds = values[order], times_us[order].searchsorted(edges)
    of = _STATISTICS[metric.rpartition("_")[2]]
    slices = [values[bounds[k] : bounds[k + STEPS]] for k in range(count)]
    return np.array([of(one) if len(one) else nan for one in slices], dtype=float)


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome with the window that decides it (its number, None: no window does) and what to say of it."""

    outcome: Outcome
    window: int | None
    detail: str


def evaluate(
    assertion: AssertSpec, windows: Windows, event_times: Mapping[str, EventTime], *, complete: bool
) -> Finding:
    """What the windows, which are all that there will be if ``complete``, say of an assertion."""
    holds, begins = windows.hold(assertion.limit), windows.begins_us  # without any flow, every window holds
    undecided = Outcome.BROKEN if complete else Outcome.OPEN
    if not len(holds):
        return Finding(undecided, None, "no window of it took place")
    if assertion.is_always:
        if holds.all():
            return Finding(Outcome.HOLDS if complete else Outcome.OPEN, None, f"in each of {len(holds)} windows")
        first = int((~holds).argmax())
        return Finding(
            Outcome.BROKEN,
            first,
            f"first at {_at(begins[first])}, in {int((~holds).sum())} of {len(holds)} windows",
        )
    deadline_us, since_us = float("inf"), 0
    if assertion.within is not None:
        event = event_times.get(assertion.within.event)
        if event is None:
            return Finding(undecided, None, f"{assertion.within.event} never took place")
        since_us, deadline_us = event.begin_us, event.begin_us + assertion.within.time_us
    steps = -(-(assertion.lasting_us - assertion.window) * STEPS // assertion.window) + 1  # windows in a row
    runs = np.convolve(holds, np.ones(steps), "valid") if len(holds) >= steps else np.zeros(0)
    starts = begins[: len(runs)]
    candidates = np.flatnonzero((runs == steps) & (starts >= since_us) & (starts <= deadline_us))
    if len(candidates):
        first = int(candidates[0])
        after = f", {_at(begins[first] - since_us)} after {assertion.within.event}" if assertion.within else ""
        return Finding(Outcome.HOLDS, first, f"held from {_at(begins[first])} on{after}")
    late = len(starts) > 0 and starts[-1] > deadline_us
    return Finding(Outcome.BROKEN if late or complete else Outcome.OPEN, len(holds) - 1, "did not hold in time")


def as_check(name: str, assertion: AssertSpec, windows: Windows, finding: Finding) -> CheckResult:
    """An assertion's outcome among those of the checks. Its value is the worst of the window that decided it, else
    the worst of all."""
    metric, limit = METRICS[assertion.metric], assertion.limit
    if finding.window is not None:
        value = windows.worst(limit, finding.window)
    elif windows.values.size:
        worst = [windows.worst(limit, k) for k in range(len(windows.begins_us)) if not windows.idle[:, k].all()]
        value = _extreme(worst, limit)
    else:
        value = nan
    detail = finding.detail if windows.values.shape[0] else "selects nothing: the scenario has none that fits"
    passed = finding.outcome is Outcome.HOLDS and windows.values.shape[0] > 0
    facts = metric.conclusive and assertion.is_always, assertion.severity
    return CheckResult(name, metric.name, passed, value, str(assertion), metric.unit.value, detail, *facts)


def _extreme(values: Sequence[float], limit: Limit) -> float:
    if not values or any(value != value for value in values):
        return nan
    if limit.comparison == "==":
        return max(values, key=lambda value: abs(value - limit.bound))
    return max(values) if limit.comparison in ("<", "<=") else min(values)


def _at(time_us: float) -> str:
    return format_duration(round(time_us / 1000) * 1000)
