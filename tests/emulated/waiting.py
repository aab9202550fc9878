"""Waiting for what comes about by itself: the one loop with a deadline of the emulated tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

DEADLINE_S = 20.0
PAUSE_S = 0.02


def wait_for(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of ``condition``; raises AssertionError naming ``what`` when time is up."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"after {deadline_s:g} s still waiting for {what}"
        time.sleep(PAUSE_S)
    return value
