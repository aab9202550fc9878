"""A clock whose readings compare with wall-clock time stamps, but which no step of the wall clock moves."""

from __future__ import annotations

import time


class RunClock:
    """CLOCK_REALTIME as it goes on from when this object is created, by CLOCK_MONOTONIC (ns)."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """The present time."""
        return time.monotonic_ns() + self._offset_ns

    def of_stamp(self, realtime_ns: int) -> int:
        """The time on this clock of an event that was just stamped with CLOCK_REALTIME by another process."""
        return realtime_ns - (time.time_ns() - self.now_ns())
