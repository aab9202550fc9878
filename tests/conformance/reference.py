"""One direction of a line, event by event and exact: what every backend is compared with.

It says of ``emulation/links/pipe_model.py`` what that file says in words, in the plainest way, however slow. Time is
whole nanoseconds where the outside sees it and a fraction where a frame ends on the line, so that no rate drifts. What
chance decides is asked of a ``Decisions``: ``Dice`` throws by the model, ``Told`` repeats what another backend was
seen to decide, so that everything which follows from it can be compared exactly.

At one moment the line gets free first, then settings change, then frames arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from itertools import count, zip_longest
from math import ceil, isqrt

from decisions import Decisions

from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Loss, PipeModel, Red
from helsewan.emulation.links.trace import Trace, TracePoint

NS_PER_US = 1_000
NS_PER_S = 1_000_000_000
ETHERNET_HEADER_BYTES = 14
FULL_FRAME_BYTES = 1664  # a quantum of deficit round robin is at least that: the lightest may send in every turn
MAX_QUEUES = 8


class Cause(Enum):
    """Why a frame was dropped; each dropped frame has one."""

    MTU = "mtu"
    DOWN = "down"  # the line was cut, or was cut with the frame in it
    SILENT = "silent"  # it was sent on a line that looks up and carries nothing
    QUEUE = "queue"  # its class queue was full
    BUFFER = "buffer"  # all queues together were full
    RED = "red"
    CODEL = "codel"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as offered: ``length`` bytes as a TAP shows them, without a trunk's tag but with ``tags`` of its own.

    A ``queue`` that the line does not have is its last; ``precedence`` is that of assured forwarding (RFC 2597)."""

    time_ns: int
    length: int
    queue: int = 0
    precedence: int = 1
    tags: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """From ``time_ns`` on the line is as ``model`` says, cut (``down``), dropping unseen what it sends (``silent``), or
    standing still with all that is in it (``frozen``). What is on its way keeps its time of arrival.

    ``trace``: from then on, at each of the trace's points, what it says takes the place of the model's."""

    time_ns: int
    model: PipeModel
    down: bool = False
    silent: bool = False
    frozen: bool = False
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Frame ``number`` of the offered ones comes out at ``due_ns``."""

    due_ns: int
    number: int
    corrupted: bool = False
    duplicate: bool = False


@dataclass
class _Controlled:
    """The state of CoDel over one queue, with the names of RFC 8289, section 5."""

    first_above_time: int = 0
    drop_next: int = 0
    count: int = 0
    lastcount: int = 0
    dropping: bool = False
    maxpacket: int = 0


class Reference:
    """One direction of a line. ``deliveries`` and ``drops`` tell what became of the frames that are not ``inside``;
    ``early_chances`` with what probability RED was to drop each frame that it judged."""

    def __init__(self, model: PipeModel, decisions: Decisions) -> None:
        self.deliveries: list[Delivery] = []
        self.drops: dict[int, Cause] = {}
        self.early_chances: dict[int, float] = {}
        self._setting = Change(0, model)
        self._decisions = decisions
        self._frames: dict[int, Frame] = {}
        self._queues: list[deque[int]] = [deque() for _ in range(MAX_QUEUES)]
        self._flight: list[Delivery] = []
        self._free = Fraction(0)  # when the line gets free
        self._skew_ns = 0  # how long it stood still so far
        self._frozen_ns = 0  # the moment at which it stands still
        self._last_due_ns = 0
        self._deficit = [0] * MAX_QUEUES
        self._turn = 0
        self._average = [0.0] * MAX_QUEUES
        self._codel = [_Controlled() for _ in range(MAX_QUEUES)]

    def run(self, frames: Iterable[Frame], changes: Iterable[Change] = (), until_ns: int | None = None) -> None:
        """Offer frames (numbered from 0) while settings change; then wait, for all or until a time."""
        events: list[tuple[int, int, Change | Frame]] = [(one.time_ns, -1, one) for one in _with_points(tuple(changes))]
        events += [(frame.time_ns, number, frame) for number, frame in enumerate(frames)]
        for time_ns, number, event in sorted(events, key=lambda event: event[:2]):
            self._advance(time_ns)
            if isinstance(event, Change):
                self._change(event)
            else:
                self._arrive(number, event)
        self._advance(until_ns)
        self.deliveries.sort(key=lambda delivery: delivery.due_ns)

    @property
    def inside(self) -> set[int]:
        """Frames that wait or are on their way; a duplicate is where its original is."""
        return {number for queue in self._queues for number in queue} | {one.number for one in self._flight}

    @property
    def _model(self) -> PipeModel:
        return self._setting.model

    # Time passes. Within, all times are the line's own, which stands still while it is frozen.

    def _own_time(self, now_ns: int) -> int:
        return self._frozen_ns if self._setting.frozen else now_ns - self._skew_ns

    def _advance(self, now_ns: int | None) -> None:
        """All that follows from the past alone, up to and with now_ns; None: to the end of time."""
        if self._setting.frozen:
            return
        own_ns = None if now_ns is None else self._own_time(now_ns)
        while any(self._queues) and (own_ns is None or self._free <= own_ns):
            self._send_next()
        due = [one for one in self._flight if own_ns is None or one.due_ns <= own_ns]
        self._flight = [one for one in self._flight if own_ns is not None and one.due_ns > own_ns]
        self.deliveries += [replace(one, due_ns=one.due_ns + self._skew_ns) for one in due]

    def _change(self, change: Change) -> None:
        own_ns = self._own_time(change.time_ns)
        old, self._setting = self._setting, change
        if change.model.rate_bps != old.model.rate_bps:
            self._free = Fraction(ceil(self._free))  # a new rate starts on a whole nanosecond
        self._adopt(old.model.queues, change.model.queues)
        if change.down and not old.down:
            for number in self.inside:
                self._drop(number, Cause.DOWN)
            self._queues = [deque() for _ in self._queues]
            self._flight = []
            self._free, self._last_due_ns = Fraction(own_ns), own_ns
            self._deficit, self._turn = [0] * MAX_QUEUES, 0
        if change.frozen:
            self._frozen_ns = own_ns
        elif old.frozen:
            self._skew_ns = change.time_ns - own_ns
            self._free = max(self._free, Fraction(own_ns))  # what came meanwhile came at this moment
        self._advance(change.time_ns)

    def _adopt(self, old: tuple[ClassQueue, ...], new: tuple[ClassQueue, ...]) -> None:
        """Frames in queues that the line no longer has wait in its last one. What a way to serve or to manage a queue
        remembers is forgotten when another takes its place."""
        count = len(new)
        for queue in range(MAX_QUEUES):
            before, after = (queues[queue] if queue < len(queues) else ClassQueue() for queues in (old, new))
            if type(before.aqm) is not type(after.aqm):
                self._average[queue], self._codel[queue] = 0.0, _Controlled()
            if after.strict:
                self._deficit[queue] = 0
        for queue in range(count, MAX_QUEUES):
            self._queues[count - 1].extend(self._queues[queue])
            self._queues[queue].clear()
            self._deficit[queue] = 0
        self._turn %= count

    # A frame arrives.

    def _arrive(self, number: int, frame: Frame) -> None:
        now_ns, own_ns = frame.time_ns, self._own_time(frame.time_ns)
        frame = replace(frame, time_ns=own_ns, queue=min(frame.queue, len(self._model.queues) - 1))
        self._frames[number] = frame
        cause = self._refusal(number, frame)
        if cause:
            self._drop(number, cause)
            return
        if isinstance(self._model.queues[frame.queue].aqm, CoDel):
            self._codel[frame.queue].maxpacket = max(self._codel[frame.queue].maxpacket, frame.length)
        self._queues[frame.queue].append(number)
        if not self._setting.frozen:
            self._free = max(self._free, Fraction(own_ns))
            self._advance(now_ns)

    def _refusal(self, number: int, frame: Frame) -> Cause | None:
        model = self._model
        if self._setting.down:
            return Cause.DOWN
        payload = frame.length - ETHERNET_HEADER_BYTES - 4 * frame.tags
        if model.mtu_bytes is not None and payload > model.mtu_bytes:
            return Cause.MTU
        if self._dropped_early(number, frame):
            return Cause.RED
        if self._free <= frame.time_ns and not self._setting.frozen:
            return None  # it need not wait, so no limit is in its way
        return self._overflow(number, frame)

    def _overflow(self, number: int, frame: Frame) -> Cause | None:
        """The limit that is in the way of a frame that must wait."""
        buffer_bytes = self._model.buffer_bytes
        queue, waiting = self._model.queues[frame.queue], self._queues[frame.queue]
        if queue.limit_bytes is not None and self._bytes(waiting) + frame.length > queue.limit_bytes:
            return Cause.QUEUE
        if queue.limit_us is not None:
            costs = sum(self._cost(one) for one in (*waiting, number))
            if self._line_time_ns(costs) > queue.limit_us * NS_PER_US:
                return Cause.QUEUE
        if buffer_bytes is not None and sum(map(self._bytes, self._queues)) + frame.length > buffer_bytes:
            return Cause.BUFFER
        return None

    def _dropped_early(self, number: int, frame: Frame) -> bool:
        red = self._model.queues[frame.queue].aqm
        if not isinstance(red, Red):
            return False
        average = self._average[frame.queue]
        average += (self._bytes(self._queues[frame.queue]) - average) * 2.0**-red.weight_shift
        self._average[frame.queue] = average
        curve = red.curves[min(frame.precedence, len(red.curves)) - 1]
        if average < curve.min_bytes:
            chance = 0.0
        elif average >= curve.max_bytes:
            chance = 1.0
        else:
            chance = curve.most * (average - curve.min_bytes) / (curve.max_bytes - curve.min_bytes)
        self.early_chances[number] = chance
        return chance == 1.0 or (chance > 0.0 and self._decisions.dropped_early(number, chance))

    # A frame is sent.

    def _send_next(self) -> None:
        """Choose a frame for the line that is free, and put it on its way."""
        number = self._choose(ceil(self._free))
        model = self._model
        self._free += self._line_time_ns(self._cost(number))
        if model.loss and self._decisions.lost(number, model.loss):
            self._drop(number, Cause.LOSS)
            return
        if self._setting.silent:
            self._drop(number, Cause.SILENT)
            return
        duplicated = model.duplicate > 0 and self._decisions.duplicated(number, model.duplicate)
        corrupted = model.corrupt > 0 and self._decisions.corrupted(number, model.corrupt)
        delay_ns = model.delay_us * NS_PER_US
        if model.jitter:
            delay_ns = max(0, delay_ns + self._decisions.jitter_ns(number, model.jitter))
        due_ns = ceil(self._free) + delay_ns
        if not (model.jitter and model.jitter.reorder):
            due_ns = max(due_ns, self._last_due_ns)  # it does not overtake
        self._last_due_ns = max(due_ns, self._last_due_ns)
        self._flight.append(Delivery(due_ns, number, corrupted))
        if duplicated:
            self._flight.append(Delivery(due_ns, number, corrupted, duplicate=True))

    def _choose(self, now_ns: int) -> int:
        """Strict queues first; the others by deficit round robin (Shreedhar and Varghese, SIGCOMM 1995)."""
        settings = self._model.queues
        for queue, setting in enumerate(settings):
            if setting.strict and self._queues[queue]:
                return self._take(queue, now_ns)
        while True:
            turn = self._turn
            if self._queues[turn] and self._cost(self._queues[turn][0]) <= self._deficit[turn]:
                number = self._take(turn, now_ns)
                self._deficit[turn] -= self._cost(number)
                if not self._queues[turn]:
                    self._deficit[turn] = 0  # a queue that runs empty saves nothing up
                return number
            self._turn = turn = (turn + 1) % len(settings)
            if self._queues[turn]:
                self._deficit[turn] += _quantum_bytes(settings, turn)

    def _take(self, queue: int, now_ns: int) -> int:
        """The queue's oldest frame, or a later one after CoDel's drops (RFC 8289, section 5.5: dequeue). CoDel never
        drops the last one, behind which there is less than a frame."""
        codel = self._model.queues[queue].aqm
        if not isinstance(codel, CoDel):
            return self._queues[queue].popleft()
        state = self._codel[queue]
        interval_ns = codel.interval_us * NS_PER_US
        number, ok_to_drop = self._do_dequeue(queue, codel, now_ns)
        if state.dropping:
            state.dropping = ok_to_drop
            while state.dropping and now_ns >= state.drop_next:
                self._drop(number, Cause.CODEL)
                state.count += 1
                number, state.dropping = self._do_dequeue(queue, codel, now_ns)
                if state.dropping:
                    state.drop_next += isqrt(interval_ns**2 // state.count)
        elif ok_to_drop:
            self._drop(number, Cause.CODEL)
            number, _ = self._do_dequeue(queue, codel, now_ns)
            state.dropping = True
            delta = state.count - state.lastcount
            recent = delta > 1 and now_ns - state.drop_next < 16 * interval_ns
            state.count = state.lastcount = delta if recent else 1
            state.drop_next = now_ns + isqrt(interval_ns**2 // state.count)
        return number

    def _do_dequeue(self, queue: int, codel: CoDel, now_ns: int) -> tuple[int, bool]:
        """The queue's oldest frame, and whether it may be dropped: frames waited too long for an interval."""
        state, waiting = self._codel[queue], self._queues[queue]
        number = waiting.popleft()
        sojourn_ns = now_ns - self._frames[number].time_ns
        if sojourn_ns < codel.target_us * NS_PER_US or self._bytes(waiting) <= state.maxpacket:
            state.first_above_time = 0
        elif state.first_above_time == 0:
            state.first_above_time = now_ns + codel.interval_us * NS_PER_US
        else:
            return number, now_ns >= state.first_above_time
        return number, False

    # Sums.

    def _drop(self, number: int, cause: Cause) -> None:
        self.drops.setdefault(number, cause)

    def _bytes(self, numbers: Iterable[int]) -> int:
        return sum(self._frames[number].length for number in numbers)

    def _cost(self, number: int) -> int:
        """What the frame occupies on the line, in bytes."""
        return self._frames[number].length + self._model.overhead_bytes

    def _line_time_ns(self, cost_bytes: int) -> Fraction:
        return Fraction(cost_bytes * 8 * NS_PER_S, self._model.rate_bps)


def _with_points(changes: tuple[Change, ...]) -> Iterator[Change]:
    """The changes, and behind each the points of its trace as changes of their own, until the next change. (Not for a
    line that stands still; a trace that repeats ends with a change.)"""
    for change, following in zip_longest(changes, changes[1:]):
        yield change
        if change.trace is None:
            continue
        assert following or change.trace.repeat_us is None
        model = change.model
        for at_us, point in _points(change.trace):
            time_ns = change.time_ns + at_us * NS_PER_US
            if following and time_ns >= following.time_ns:
                break
            loss = None if point.loss is None else Loss.bernoulli(point.loss)
            said = {"rate_bps": point.rate_bps, "delay_us": point.delay_us, "loss": loss}
            model = replace(model, **{name: value for name, value in said.items() if value is not None})
            yield replace(change, time_ns=time_ns, model=model, trace=None)


def _points(trace: Trace) -> Iterator[tuple[int, TracePoint]]:
    """Points with their times since the trace began to be followed, without end if it repeats."""
    rounds = [0] if trace.repeat_us is None else count(0, trace.repeat_us)
    return ((round_us + point.at_us, point) for round_us in rounds for point in trace.points)


def _quantum_bytes(queues: tuple[ClassQueue, ...], queue: int) -> int:
    """What a turn adds: in proportion to the weights, and for the lightest a full frame; nothing for strict ones."""
    if queues[queue].strict:
        return 0
    lightest = min(one.weight for one in queues if not one.strict)
    return queues[queue].weight * FULL_FRAME_BYTES // lightest
