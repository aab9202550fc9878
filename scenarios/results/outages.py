"""How long events of the timeline interrupted flows, and for how long sites were unavailable. Pure; from records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.spec.timeline.timepoints import IN_FLIGHT_US, EventTime

INTERRUPTS_WITHIN_US = 100_000  # after an event's action: what is lost later first has another cause
UNAVAILABLE_LOSS = 0.5  # a site is unavailable in a second in which more than this share of its datagrams was lost
SECOND_US = 1_000_000


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
        self._order = np.lexsort((records["rx_ns"], records["flow"]))
        self._bounds = np.searchsorted(records["flow"], np.arange(len(flows) + 1), sorter=self._order)

    def of(self, flow: FlowSpec) -> tuple[Array, Array, Array]:
        """Sequence numbers, times of arrival (us from the run's start) and one-way delays (us)."""
        own = self._records[self._order[self._bounds[flow.id] : self._bounds[flow.id + 1]]]
        own = own[own["receiver"] == self._receiver[flow.destination]]
        seq, first = np.unique(own["seq"], return_index=True)
        rx_ns = own["rx_ns"][first]
        return seq.astype(np.int64), (rx_ns - self._epoch_ns) / 1000, (rx_ns - own["tx_ns"][first]) / 1000

    def due_before(self, flow: FlowSpec, time_us: int) -> int:
        """Number of the flow's datagrams that were due before ``time_us``."""
        return min(flow.due_before(time_us), int(self._due[flow.id]))


def time_to_repair(arrived: ArrivedDatagrams, flow: FlowSpec, event: EventTime) -> float:
    """Microseconds from an event's begin until a flow was back: until the first arrival after the first datagram that
    the event destroyed. 0 where it destroyed none, NaN where nothing arrived any more."""
    seq, arrival_us, _ = arrived.of(flow)
    first = arrived.due_before(flow, event.begin_us - IN_FLIGHT_US)
    last = arrived.due_before(flow, event.done_us + INTERRUPTS_WITHIN_US)
    missing = np.setdiff1d(np.arange(first, last), seq, assume_unique=True)
    if not len(missing):
        return 0.0
    back_us = arrival_us[seq.searchsorted(missing[0]) :]
    return max(float(back_us.min()) - event.begin_us, 0.0) if len(back_us) else nan


def minutes_lost(arrived: ArrivedDatagrams, flows: Iterable[FlowSpec], window: Window) -> dict[str, float]:
    """Minutes in which sites were unavailable in a window: a second counts in which more than ``UNAVAILABLE_LOSS`` of
    the datagrams of ``flows`` from or to the site was lost. The window's last second may be a part of one. Sites
    without a datagram are missing."""
    edges = np.unique(np.append(np.arange(window.start_us, window.end_us, SECOND_US), window.end_us))
    sent: dict[str, Array] = {}
    lost: dict[str, Array] = {}
    for flow in flows:
        seq, _, _ = arrived.of(flow)
        bounds = np.array([arrived.due_before(flow, int(edge)) for edge in edges])
        due = np.diff(bounds)
        missing = due - np.diff(seq.searchsorted(bounds))
        for site in {flow.client, flow.server}:
            sent[site] = sent.get(site, 0) + due
            lost[site] = lost.get(site, 0) + missing
    return {
        site: float(np.diff(edges)[lost[site] > UNAVAILABLE_LOSS * due].sum()) / (60 * SECOND_US)
        for site, due in sent.items()
        if due.sum()
    }
