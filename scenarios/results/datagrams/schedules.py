"""When the datagrams of many flows are due, as arrays. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.flows.records import Array

NO_TIME = 2**62  # ns; later than any point of a run


class Schedules:
    """The schedules of ``flows``. Times are ns from the run's start, datagrams are meant by their sequence numbers."""

    def __init__(self, flows: Sequence[FlowSpec]) -> None:
        self.flows = flows
        self.start_ns = np.array([flow.start_us * 1000 for flow in flows], np.int64)
        self.stop_ns = np.array([flow.stop_us * 1000 for flow in flows], np.int64)
        self.interval_ns = np.array([flow.interval_ns for flow in flows], np.int64)
        self.burst = np.array([flow.burst for flow in flows], np.int64)

    def due_before(self, flow: Array, times_ns: Array) -> Array:
        """How many datagrams of flows number ``flow`` are due before ``times_ns``, one for one (broadcast)."""
        active_ns = np.minimum(times_ns, self.stop_ns[flow]) - self.start_ns[flow]
        due: Array = np.maximum(-(-active_ns // self.interval_ns[flow]), 0) * self.burst[flow]
        return due

    def due_ns(self, flow: Array, seq: Array) -> Array:
        """When the datagrams ``seq`` of flows number ``flow`` are due, one for one."""
        due: Array = self.start_ns[flow] + seq // self.burst[flow] * self.interval_ns[flow]
        return due
