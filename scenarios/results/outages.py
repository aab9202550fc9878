"""How long events of the timeline interrupted flows. Pure; from records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import nan

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.schedules import Schedules
from helsewan.scenarios.spec.timeline.timepoints import IN_FLIGHT_US, EventTime

INTERRUPTS_WITHIN_US = 100_000  # after an event's action: what is lost later first has another cause


class ArrivedDatagrams:
    """The first arrivals of each flow's datagrams at the right socket, in order of sequence number.

    ``records`` are the engine's (``RECORD``), ``ends[i]`` the socket whose receiver id is i, ``due[i]`` how many
    datagrams of flow i were due in all, ``epoch_ns`` the run's start on the records' clock."""

    def __init__(
        self, records: Array, flows: Sequence[FlowSpec], ends: Sequence[Endpoint], due: Array, epoch_ns: int
    ) -> None:
        self.flows = flows
        self._due, self._epoch_ns, self._records = due, epoch_ns, records
        self._receiver = {end: id_ for id_, end in enumerate(ends)}

    @cached_property
    def _order(self) -> Array:
        """The records' places, by flow and time of arrival; most scenarios never ask."""
        return np.lexsort((self._records["rx_ns"], self._records["flow"]))

    @cached_property
    def _bounds(self) -> Array:
        return np.searchsorted(self._records["flow"], np.arange(len(self.flows) + 1), sorter=self._order)

    @cached_property
    def _schedules(self) -> Schedules:
        return Schedules(self.flows)

    def of(self, flow: FlowSpec) -> tuple[Array, Array, Array]:
        """Sequence numbers, times of arrival (us from the run's start) and one-way delays (us)."""
        own = self._records[self._order[self._bounds[flow.id] : self._bounds[flow.id + 1]]]
        own = own[own["receiver"] == self._receiver[flow.destination]]
        seq, first = np.unique(own["seq"], return_index=True)
        rx_ns = own["rx_ns"][first]
        return seq.astype(np.int64), (rx_ns - self._epoch_ns) / 1000, (rx_ns - own["tx_ns"][first]) / 1000

    def due_before(self, flow: FlowSpec, times_us: Array) -> Array:
        """Numbers of the flow's datagrams that were due before each time."""
        due: Array = np.minimum(self._schedules.due_before_of(flow.id, times_us * 1000), self._due[flow.id])
        return due


def time_to_repair(arrived: ArrivedDatagrams, flow: FlowSpec, event: EventTime) -> float:
    """Microseconds from an event's begin until a flow was back: until the first arrival after the first datagram that
    the event destroyed. 0 where it destroyed none, NaN where nothing arrived any more."""
    seq, arrival_us, _ = arrived.of(flow)
    span_us = np.array([event.begin_us - IN_FLIGHT_US, event.done_us + INTERRUPTS_WITHIN_US])
    first, last = arrived.due_before(flow, span_us)
    missing = np.setdiff1d(np.arange(first, last), seq, assume_unique=True)
    if not len(missing):
        return 0.0
    back_us = arrival_us[seq.searchsorted(missing[0]) :]
    return max(float(back_us.min()) - event.begin_us, 0.0) if len(back_us) else nan
