"""The health monitor of a network that runs without an end: started once it is up, asked at any time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from helsewan.lab.health.health import Second
from helsewan.lab.health.health_log import HealthLog, Turn
from helsewan.lab.health.health_monitor import HealthMonitor
from helsewan.lab.health.validity import DROPS, Grade, Reason, Validity, ValidityFinding, of_links
from helsewan.lab.testbed.testbed import Testbed
from helsewan.lab.testbed.testbed_metrics import TestbedMetrics

_NO_SENDS = np.zeros(1, np.int64)
_NO_LIMITS = np.ones(1, np.int64)


class RunningHealth:
    """The health of ``testbed`` from now on, which must be up. ``on_turn`` is called in the monitor's thread when its
    grade changes."""

    def __init__(self, testbed: Testbed, on_turn: Callable[[Turn], None] = lambda turn: None) -> None:
        self._testbed, self._on_turn = testbed, on_turn
        self._log, self._lock = HealthLog(), threading.Lock()
        if testbed.has_engine:
            testbed.engine.restart_lateness()  # building the network was no time of trial
        self._metrics = TestbedMetrics(testbed, None)
        self._monitor = HealthMonitor(self._metrics, _NO_SENDS, _NO_LIMITS, self._second_passed, keep=False)
        self._last_ns = time.monotonic_ns()
        self._monitor.start(time.time_ns())

    def _second_passed(self, second: Second) -> None:
        now_ns = time.monotonic_ns()
        elapsed_s, self._last_ns = (now_ns - self._last_ns) / 1e9, now_ns
        with self._lock:
            turn = self._log.add(second, time.time(), elapsed_s)
        if turn is not None:
            self._on_turn(turn)

    @property
    def grade(self) -> Grade:
        """The grade of the last minute."""
        return self._log.grade

    def validity(self, since_s: float | None = None, drops: dict[str, int] | None = None) -> Validity:
        """The validity since the network is up, or since ``since_s`` (s since the epoch). ``drops``: frames that the
        machine dropped since it is up, where the caller has counted them. A network whose monitor has ended is void."""
        more: list[ValidityFinding] = []
        if since_s is None:
            more = [ValidityFinding(DROPS, lost, where) for where, lost in (drops or {}).items()]
            if self._testbed.has_engine:
                more += of_links(self._testbed.engine.lateness())
        with self._lock:
            validity = self._log.validity(since_s or 0.0, more)
        if self._monitor.error is None:
            return validity
        error = self._monitor.error
        reason = Reason(Grade.VOID, f"the health monitor ended: {type(error).__name__}: {error}")
        return Validity(Grade.VOID, (reason, *validity.reasons), validity.kept)

    def close(self) -> None:
        """End the monitor."""
        if self._monitor.error is None:
            self._monitor.stop()
        self._metrics.close()
