"""Speech with silence suppression: RTP datagrams in talk spurts, the first of each marked (RFC 3551, 4.1). Pure."""

from __future__ import annotations

import numpy as np

from helsewan.lab.flows.schedule import Schedule, schedule_of

TALK_SPURT_S, PAUSE_S = 1.004, 1.587  # means of both, ITU-T P.59 (03/93), table 1: 38.53 % of the time is speech


def speech_schedule(interval_ns: int, least_ns: int, rng: np.random.Generator) -> Schedule:
    """A repeating schedule of at least ``least_ns``: talk spurts and pauses in turn with exponential lengths, a
    datagram every ``interval_ns`` of a spurt. It begins with a spurt and ends with a pause."""
    rounds = int(least_ns / 1e9 / (TALK_SPURT_S + PAUSE_S) * 2) + 8
    slot_s = interval_ns / 1e9
    spurts, pauses = (
        np.maximum(np.ceil(rng.exponential(mean - slot_s / 2, rounds) / slot_s), 1).astype(np.int64)
        for mean in (TALK_SPURT_S, PAUSE_S)  # rounding up adds half a slot
    )
    ends = np.cumsum(spurts + pauses)
    count = min(int(np.searchsorted(ends * interval_ns, least_ns)) + 1, rounds)
    spurts, begins = spurts[:count], (ends - spurts - pauses)[:count]
    within = np.arange(spurts.sum()) - np.repeat(np.cumsum(spurts) - spurts, spurts)
    slots = np.repeat(begins, spurts) + within
    return schedule_of(slots * interval_ns, marker=within == 0, period_ns=int(ends[count - 1]) * interval_ns)


def pause_offset_ns(schedule: Schedule, rng: np.random.Generator) -> int:
    """Any moment of ``schedule`` in a pause, so that a call that begins there begins with a marked datagram."""
    begins = np.flatnonzero(schedule.table["marker"])
    due = schedule.table["due_ns"]
    ends = due[np.append(begins[1:] - 1, len(due) - 1)]  # of spurts: the last datagram's
    pauses = np.append(due[begins[1:]], schedule.period_ns + due[0]) - ends
    passed = np.cumsum(pauses)
    moment = int(rng.integers(passed[-1]))
    pause = int(np.searchsorted(passed, moment, side="right"))
    left_ns = int(passed[pause]) - moment  # until the next spurt, at least 1
    return int(ends[pause] + pauses[pause] - left_ns + 1) % schedule.period_ns
