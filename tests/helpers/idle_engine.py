"""How restful a link engine is that has nothing to do."""

from __future__ import annotations

import time

from helsewan.emulation.links.engine import EngineProcess

GLANCE_S = 0.02  # LOOP_MAX_SLEEP_NS: it turns so often by itself
WHILE_S = 0.2


def needless_turns(engine: EngineProcess) -> float:
    """The turns of the loop beyond its own glances, while nothing happens."""
    rounds, began = engine.engine_counters()["rounds"], time.monotonic()
    before = int(rounds[0])
    time.sleep(WHILE_S)
    return int(rounds[0]) - before - (time.monotonic() - began) / GLANCE_S
