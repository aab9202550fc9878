"""What a run's history says after each event of its timeline: detection, and the controller's new paths. Pure.

Times are those at which the run heard of something, on the monotonic clock, so that no step of the wall clock moves
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from helsewan.scenarios.spec.timeline.timepoints import EventTime

DETECT, REOPTIMISE = "time_to_detect", "time_to_reoptimise"

_TRAFFIC_STARTED = "traffic-started"
_CHANGES = frozenset(f"controller.{kind}" for kind in ("port-down", "port-up", "switch-down", "switch-up"))
_NEW_PATHS = "controller.paths-switched"

History = Iterable[Mapping[str, Any]]


def event_delays(history: History, event_times: Mapping[str, EventTime]) -> dict[tuple[str, str], float]:
    """Microseconds from each event's begin, by metric and event; what never happened is missing.

    ``DETECT``: until the first report to the controller that a port, or a session of BFD on it, or a switch changed;
    ``REOPTIMISE``: until the last change of paths before the timeline's next event."""
    changes, new_paths = _times(history)
    begins = sorted(time.begin_us for time in event_times.values())
    found: dict[tuple[str, str], float] = {}
    for name, time in event_times.items():
        until_us = next((begin for begin in begins if begin > time.begin_us), float("inf"))
        after = [at_us - time.begin_us for at_us in changes if time.begin_us <= at_us < until_us]
        paths = [at_us - time.begin_us for at_us in new_paths if time.begin_us <= at_us < until_us]
        if after:
            found[DETECT, name] = min(after)
        if paths:
            found[REOPTIMISE, name] = max(paths)
    return found


def _times(history: History) -> tuple[list[float], list[float]]:
    """When changes were reported and when paths were switched, microseconds from the run's start."""
    changes: list[float] = []
    new_paths: list[float] = []
    zero_ns: int | None = None  # the run's start on the monotonic clock; before it nothing counts
    for event in history:
        kind, now_ns = event["event"], event["monotonic_ns"]
        if kind == _TRAFFIC_STARTED:
            zero_ns = now_ns + event["epoch_ns"] - event["wall_ns"]
        elif zero_ns is not None and kind in _CHANGES:
            changes.append((now_ns - zero_ns) / 1000)
        elif zero_ns is not None and kind == _NEW_PATHS:
            new_paths.append((now_ns - zero_ns) / 1000)
    return changes, new_paths
