"""The time of each probe: no faster than the machine can carry, the policers of an access link pass, and a router's
slow path may answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

RATE_PER_S = 600  # of all questions; each costs some 0.1 ms of a core in every router on its way
LINE_GAP_US = 10_000  # between those of one line: some 100 kbit/s, less than any class is policed to
ANSWER_GAP_US = (
    30_000  # between those that one router answers; it hands up 50 packets a second (controller/rules/punt.py)
)
_LOOK_AHEAD = 400  # questions that may overtake one whose time has not come


@dataclass(frozen=True, slots=True)
class Turn:
    """Probe ``number`` and its time after the first."""

    number: int
    at_us: int


def turns(needs: Sequence[tuple[int, Mapping[Hashable, int]]]) -> tuple[Turn, ...]:
    """When to ask each of a sequence of questions: number, and what it takes for how long (us). As near to their
    order as may be."""
    free: dict[Hashable, int] = {}
    waiting, done, now_us = deque(needs), list[Turn](), 0
    while waiting:
        ready = next(
            (i for i, (_, takes) in zip(range(_LOOK_AHEAD), waiting, strict=False) if _is_free(takes, free, now_us)),
            None,
        )
        if ready is not None:
            number, takes = waiting[ready]
            del waiting[ready]
            done.append(Turn(number, now_us))
            free.update({what: now_us + for_us for what, for_us in takes.items()})
        now_us += 1_000_000 // RATE_PER_S
    return tuple(done)


def _is_free(takes: Mapping[Hashable, int], free: Mapping[Hashable, int], now_us: int) -> bool:
    return all(free.get(what, 0) <= now_us for what in takes)
