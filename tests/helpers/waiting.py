"""Waiting for what comes about by itself: the one loop with a deadline that tests share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

DEADLINE_S = 60.0
PAUSE_S = 0.02  # between looks, most of which cost a process or a file; counters in memory may be asked more often


def wait_for(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S, pause_s: float = PAUSE_S) -> Any:
    """The first true value of ``condition``; raises AssertionError naming ``what`` when time is up."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"after {deadline_s:g} s still waiting for {what}"
        time.sleep(pause_s)
    return value
