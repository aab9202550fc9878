"""Schedules probes: within the machine's capacity, the policers of access links, and the rates of routers' slow
paths."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

RATE_PER_S = 600  # of all probes; each takes some 0.1 ms of a core in every router on its path
ACCESS_LINK_GAP_US = 10_000  # between probes on one access link: some 100 kbit/s, below the rate of any policer
# Between probes that one router answers; it punts at most 50 packets per second (controller/rules/punt.py).
ANSWER_GAP_US = 30_000
_LOOK_AHEAD = 400  # probes that may overtake one that must wait


@dataclass(frozen=True, slots=True)
class ScheduledProbe:
    """Probe ``number`` and its time after the start."""

    number: int
    at_us: int


def schedule_probes(needs: Sequence[tuple[int, Mapping[Hashable, int]]]) -> tuple[ScheduledProbe, ...]:
    """Schedule probes as close to their order as possible. ``needs``: each probe's number, and the resources it uses
    with the time (us) until the next probe may use them."""
    free: dict[Hashable, int] = {}
    waiting, scheduled, now_us = deque(needs), list[ScheduledProbe](), 0
    while waiting:
        ready = next(
            (i for i, (_, uses) in zip(range(_LOOK_AHEAD), waiting, strict=False) if _is_free(uses, free, now_us)),
            None,
        )
        if ready is not None:
            number, uses = waiting[ready]
            del waiting[ready]
            scheduled.append(ScheduledProbe(number, now_us))
            free.update({resource: now_us + for_us for resource, for_us in uses.items()})
        now_us += 1_000_000 // RATE_PER_S
    return tuple(scheduled)


def _is_free(uses: Mapping[Hashable, int], free: Mapping[Hashable, int], now_us: int) -> bool:
    return all(free.get(resource, 0) <= now_us for resource in uses)
