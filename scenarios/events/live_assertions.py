"""Judges, while the run goes on, the assertions that end it when they are broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from helsewan.common.units import format_duration
from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.flowspec import ExchangeSpec, FlowSpec
from helsewan.lab.flows.records import RECORD
from helsewan.scenarios.events.live_figures import FlowSource
from helsewan.scenarios.results.assertions import Outcome, Windows, evaluate, exchange_windows, flow_windows, grid
from helsewan.scenarios.results.checks import Selectable, selected_exchanges, selected_flows
from helsewan.scenarios.results.outages import ArrivedDatagrams
from helsewan.scenarios.spec.checks.assertions import STEPS, AssertSpec, OnFail
from helsewan.scenarios.spec.checks.metrics import METRICS, Source
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import EventTime

IN_FLIGHT_US = (
    500_000  # a window is judged that long after its end: everything due in it has arrived by then, or is lost
)


class AssertionBroken(Exception):
    """The assertion ``name``, with ``on_fail: abort``, is broken, how ``detail`` says; the run ends at ``at_us``."""

    def __init__(self, name: str, detail: str, at_us: int) -> None:
        self.name, self.detail, self.at_us = name, detail, at_us
        super().__init__(f"{name} is broken ({detail}): the run ends at {format_duration(at_us // 1000 * 1000)}")


@dataclass
class _Followed:
    """An assertion, the flows or exchanges that it selects, how long after its end a window is judged, and the windows
    so far; the next one begins at ``next_us`` (None: what it is about has not begun)."""

    name: str
    assertion: AssertSpec
    flows: Sequence[FlowSpec]
    exchanges: Sequence[ExchangeSpec]
    wait_us: int
    next_us: int | None = None
    parts: list[Windows] = field(default_factory=list)

    @property
    def windows(self) -> Windows:
        """All windows so far."""
        return Windows(
            np.concatenate([part.begins_us for part in self.parts]),
            np.concatenate([part.values for part in self.parts], axis=1),
            np.concatenate([part.idle for part in self.parts], axis=1),
        )


class LiveAssertions:
    """The assertions of ``spec`` with ``on_fail: abort``, on the traffic of ``of``. ``source`` has the datagrams so
    far, ``exchanges`` returns the requests that have ended, ``epoch_ns`` is the run's start."""

    def __init__(
        self,
        spec: ScenarioSpec,
        of: Selectable,
        source: FlowSource,
        exchanges: Callable[[], Sequence[Exchange]],
        epoch_ns: int,
    ) -> None:
        self._spec, self._of, self._source, self._exchanges, self._epoch_ns = spec, of, source, exchanges, epoch_ns
        self._followed = [
            _followed(name, assertion, of)
            for name, assertion in spec.assertions.items()
            if assertion.on_fail is OnFail.ABORT
        ]
        flows = of.traffic.flows
        self._wanted = np.zeros(len(flows) + 1, bool)  # whether a flow is selected, by its id; the last: no flow
        self._wanted[[flow.id for each in self._followed for flow in each.flows]] = True
        self._never = np.full(len(flows), np.iinfo(np.int64).max)  # all that is planned is due so far
        self._recent = np.zeros(0, RECORD)
        self._read = 0

    def check(self, now_us: int, event_times: Mapping[str, EventTime]) -> None:
        """Raise AssertionBroken for the first assertion that is broken by now (us from the run's start).
        ``event_times``: of the events so far."""
        if self._followed:
            self._take_in()
        for each in self._followed:
            if not self._extend(each, now_us, event_times):
                continue
            found = evaluate(each.assertion, each.windows, event_times, complete=False)
            if found.outcome is Outcome.BROKEN:
                raise AssertionBroken(each.name, found.detail, now_us)

    def _take_in(self) -> None:
        """Add the records since the last call; give up those of windows that are judged already."""
        records = self._source.records
        fresh = records[self._read :]
        self._read += len(fresh)
        fresh = fresh[self._wanted[np.minimum(fresh["flow"], len(self._of.traffic.flows))]]
        first_us = min((each.next_us or 0 for each in self._followed), default=0)
        old = self._recent[self._recent["tx_ns"] >= self._epoch_ns + first_us * 1000]
        self._recent = np.concatenate([old, fresh])

    def _extend(self, each: _Followed, now_us: int, event_times: Mapping[str, EventTime]) -> bool:
        """Add the windows of an assertion that can be judged by now; whether there are any."""
        begin_us, end_us = self._span(each.assertion, event_times)
        if begin_us is None:
            return False
        each.next_us = begin_us if each.next_us is None else each.next_us
        edges = grid(each.assertion, each.next_us, min(now_us - each.wait_us, end_us))
        if len(edges) > STEPS:
            if METRICS[each.assertion.metric].source is Source.EXCHANGE:
                ids = [exchange.id for exchange in each.exchanges]
                found = exchange_windows(each.assertion, self._exchanges(), ids, edges)
            else:
                traffic = self._of.traffic
                arrived = ArrivedDatagrams(self._recent, traffic.flows, traffic.endpoints, self._never, self._epoch_ns)
                found = flow_windows(each.assertion, arrived, each.flows, edges)
            each.parts.append(found)
            each.next_us = int(edges[len(edges) - STEPS])
        return bool(each.parts)

    def _span(self, assertion: AssertSpec, event_times: Mapping[str, EventTime]) -> tuple[int | None, int]:
        """The time that an assertion is about, as far as it is known; its begin is None before it is."""
        begin_us, end_us = self._spec.warmup, self._spec.duration
        phase = self._spec.phases.get(assertion.phase or "")
        if phase is None:
            return begin_us, end_us
        if phase.begin.event not in (None, *event_times):
            return None, end_us
        begin_us = max(begin_us, phase.begin.resolve(event_times, end_us))
        if phase.end.event in (None, *event_times):
            end_us = phase.end.resolve(event_times, end_us)
        return begin_us, end_us


def _followed(name: str, assertion: AssertSpec, of: Selectable) -> _Followed:
    metric = METRICS[assertion.metric]
    if metric.source is not Source.EXCHANGE:
        return _Followed(name, assertion, selected_flows(assertion, metric, of), (), IN_FLIGHT_US)
    exchanges = selected_exchanges(assertion, metric, of)
    longest_us = max((one.deadline_us for one in exchanges), default=0)  # a request may go on for so long
    return _Followed(name, assertion, (), exchanges, IN_FLIGHT_US + longest_us)
