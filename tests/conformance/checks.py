"""What must hold of an observation. A check returns complaints, none when all is well.

Alike for all backends; how far one may be off for its clock's sake is its ``Precision``. What a frame should have
done is worked out from the time at which it was really offered (``expected``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import chance
import numpy as np
from decisions import Told
from experiment import Experiment, Observation, Precision, expected
from reference import NS_PER_S, NS_PER_US, Cause, Reference

Check = Callable[[Experiment, Observation, Precision], Iterable[str]]

SIGNIFICANCE = 0.01  # the issue's
RATE_ERROR = 0.01  # the issue's


def schedule(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Every frame comes out as the reference says, no other, each when it is due."""
    yield from _compare(expected(experiment, seen), seen, precision)


def schedule_in_turns(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """The same for queues that take turns: where a clock is off, the line may take a frame of another queue first, so
    that from there on frames are a turn of two frames earlier or later."""
    if not precision.exact:
        longest = max(frame.length for frame in experiment.frames) + experiment.model.overhead_bytes
        turn_us = 2 * longest * 8 * 1e6 / experiment.model.rate_bps
        precision = replace(precision, median_us=precision.median_us + turn_us, p99_us=precision.p99_us + turn_us)
    yield from schedule(experiment, seen, precision)


def schedule_of_survivors(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """The same where chance loses frames: all that came out is told, and in order and on time."""
    arrived = {one.number for one in seen.received}
    told = Told(losses=frozenset(range(len(experiment.frames))) - arrived)
    yield from _compare(expected(experiment, seen, told), seen, precision)


def _compare(line: Reference, seen: Observation, precision: Precision) -> Iterable[str]:
    due = {one.number: one.due_ns for one in line.deliveries if not one.duplicate}
    came = {one.number: one.time_ns for one in seen.received}
    if due.keys() != came.keys():
        yield f"did not come: {sorted(due.keys() - came.keys())[:9]}; came: {sorted(came.keys() - due.keys())[:9]}"
    if seen.drops is not None and precision.exact and dict(seen.drops) != dict(Counter(line.drops.values())):
        yield f"drops {dict(seen.drops)}, not {dict(Counter(line.drops.values()))}"
    late_us = np.array([(came[number] - due[number]) / NS_PER_US for number in due.keys() & came.keys()])
    yield from _punctual(late_us - precision.offset_us, precision)


def _punctual(late_us: np.ndarray, precision: Precision) -> Iterable[str]:
    if not len(late_us):
        yield "nothing came that was due"
        return
    median, p1, p99 = np.percentile(late_us, [50, 1, 99])
    if abs(median) > precision.median_us or max(-p1, p99) > precision.p99_us:
        yield f"late by {median:.1f} us in the median, {p1:.1f} to {p99:.1f} us from the 1st to the 99th percentile"
    if precision.exact and late_us.any():
        yield f"{np.count_nonzero(late_us)} frames not at their nanosecond"


def rate(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Frames in a row take the time on the line that their bits take at its rate, to one per cent; seen in the later
    half of them, after all changes."""
    model = (experiment.model, *(change.model for change in experiment.changes))[-1]
    later = seen.received[len(seen.received) // 2 :]
    bits = sum(experiment.frames[one.number].length + model.overhead_bytes for one in later[1:]) * 8
    span_ns = later[-1].time_ns - later[0].time_ns
    error = bits * NS_PER_S / span_ns / model.rate_bps - 1
    allowed = 1 / span_ns if precision.exact else RATE_ERROR  # a nanosecond of rounding up
    if abs(error) > allowed:
        yield f"rate is off by {error:.3%}"


def everything_arrives(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Each frame once, whatever was changed."""
    counts = Counter(one.number for one in seen.received)
    wrong = [number for number in range(len(experiment.frames)) if counts[number] != 1]
    if wrong:
        yield f"not exactly once: {wrong[:9]}"


def in_order(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """No frame of a queue overtakes another."""
    for queue in {frame.queue for frame in experiment.frames}:
        numbers = [one.number for one in seen.received if experiment.frames[one.number].queue == queue]
        if numbers != sorted(numbers):
            yield f"queue {queue} came out of order"


def out_of_order(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Some do, where that was asked for."""
    numbers = [one.number for one in seen.received]
    if numbers == sorted(numbers):
        yield "no frame overtook another"


def jitter(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Delays vary by their distribution."""
    model = experiment.model.jitter
    assert model is not None
    mean_due = expected(experiment, seen, Told(jitters_ns=dict.fromkeys(range(len(seen.sent_ns)), 0)))
    due = {one.number: one.due_ns for one in mean_due.deliveries}
    variations_us = [(one.time_ns - due[one.number]) / NS_PER_US - precision.offset_us for one in seen.received]
    yield from _likely("jitter", chance.jitter(variations_us, model))


def losses(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Frames are lost by the loss model, in number and in rows."""
    assert experiment.model.loss is not None
    yield from _likely("words of losses", chance.fates(_fates(experiment, seen), experiment.model.loss))


def bursts(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Losses in a row are as long as the bad state lasts."""
    assert experiment.model.loss is not None
    yield from _likely("lengths of bursts", chance.bursts(_fates(experiment, seen), experiment.model.loss))


def _fates(experiment: Experiment, seen: Observation) -> list[bool]:
    arrived = {one.number for one in seen.received}
    return [number not in arrived for number in range(len(experiment.frames))]


def duplicates(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Frames come twice as often as they should, never more than twice."""
    counts = Counter(Counter(one.number for one in seen.received).values())
    if counts.keys() - {1, 2}:
        yield f"some came {max(counts)} times"
    yield from _likely("duplicates", chance.shares(counts[2], len(experiment.frames), experiment.model.duplicate))


def corruptions(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Frames come with one wrong bit as often as they should."""
    counts = Counter(one.wrong_bits for one in seen.received)
    if counts.keys() - {0, 1}:
        yield f"frames with {max(counts)} wrong bits"
    yield from _likely("corruption", chance.shares(counts[1], len(seen.received), experiment.model.corrupt))


def early_drops(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """RED drops with the probability that its average queue gave, frame by frame; and in each precedence."""
    dropped = {number for number, lost in enumerate(_fates(experiment, seen)) if lost}
    line = expected(experiment, seen, Told(early=frozenset(dropped)))
    for precedence in sorted({frame.precedence for frame in experiment.frames}):
        chances = {n: p for n, p in line.early_chances.items() if experiment.frames[n].precedence == precedence}
        yield from _likely(f"drops of precedence {precedence}", chance.early_drops(chances, dropped))
        never = [number for number, p in chances.items() if p == 0 and number in dropped]
        if never and precision.exact:
            yield f"dropped below the least threshold: {never[:9]}"


def _likely(what: str, p_value: float) -> Iterable[str]:
    if p_value < SIGNIFICANCE:
        yield f"{what}: p = {p_value:.2g}"


def one_frame_more(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """Frames of queue 0 wait for at most one frame of the other queues, the longest."""
    model = experiment.model
    longest = max(frame.length for frame in experiment.frames if frame.queue)
    most_ns = (longest + model.overhead_bytes) * 8 * NS_PER_S / model.rate_bps + (
        precision.offset_us + precision.p99_us
    ) * NS_PER_US
    alone = [n for n, frame in enumerate(experiment.frames) if frame.queue == 0]
    extra_ns = []
    for one in seen.received:
        if one.number in alone:
            cost = experiment.frames[one.number].length + model.overhead_bytes
            undisturbed_ns = cost * 8 * NS_PER_S / model.rate_bps + model.delay_us * NS_PER_US
            extra_ns.append(one.time_ns - seen.sent_ns[one.number] - undisturbed_ns)
    if len(extra_ns) != len(alone):
        yield f"{len(alone) - len(extra_ns)} urgent frames were lost"
    elif np.percentile(extra_ns, 100 if precision.exact else 99) > most_ns + 1:
        yield f"urgent frames waited up to {max(extra_ns) / 1e6:.3f} ms, a frame takes {most_ns / 1e6:.3f} ms"


def shares_by_weight(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """While all weighted queues have a backlog, each sends its weight's share of the line, to a turn's worth."""
    queues, overhead = experiment.model.queues, experiment.model.overhead_bytes
    offered = Counter(frame.queue for frame in experiment.frames)
    sent: Counter[int] = Counter()
    frames: Counter[int] = Counter()
    for one in seen.received:
        frame = experiment.frames[one.number]
        frames[frame.queue] += 1
        sent[frame.queue] += frame.length + overhead
        if frames[frame.queue] == offered[frame.queue]:
            break  # the first queue has run empty
    weights = sum(queue.weight for queue in queues)
    lightest = min(queue.weight for queue in queues)
    for number, queue in enumerate(queues):
        # Shreedhar and Varghese, theorem 2: off by less than a quantum and a frame; and the queue's own turn goes on
        turn = queue.weight * 1664 / lightest + 2 * 1664
        fair = sum(sent.values()) * queue.weight / weights
        if abs(sent[number] - fair) > turn:
            yield f"queue {number} sent {sent[number]} bytes, its share is {fair:.0f}, give or take {turn:.0f}"


def controlled_delay(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
    """CoDel drops, more and more, of what stays: as many as the reference, to one in ten. Which ones hangs on single
    microseconds of when frames came, so that only an exact clock is asked."""
    if precision.exact:
        yield from schedule(experiment, seen, precision)
    line = expected(experiment, seen)
    drops = len(experiment.frames) - len(seen.received)
    planned = sum(cause is Cause.CODEL for cause in line.drops.values())
    if not planned or abs(drops - planned) > (0 if precision.exact else 1 + planned / 10):
        yield f"{drops} frames dropped, the reference drops {planned}"


def survivors(queue: int, count: int) -> Check:
    """Of a burst into a queue so many frames come out: those that fit, and the one on the line."""

    def check(experiment: Experiment, seen: Observation, precision: Precision) -> Iterable[str]:
        came = sum(experiment.frames[one.number].queue == queue for one in seen.received)
        if came != count:
            yield f"{came} frames of queue {queue} came out, not {count}"

    return check


def accounted_for(experiment: Experiment, seen: Observation) -> Iterable[str]:
    """Every frame is out, dropped for one cause, or inside."""
    if seen.drops is None:
        return
    out = len({one.number for one in seen.received})
    total = out + sum(seen.drops.values()) + seen.inside
    if total != len(experiment.frames):
        yield f"{len(experiment.frames)} offered, {out} out, dropped {dict(seen.drops)}, {seen.inside} inside"
