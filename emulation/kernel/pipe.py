"""One direction of a link as kernel queueing disciplines: translates a ``PipeModel`` to netlink requests. No I/O.

A pipe consists of the egress of two interfaces in sequence (docs/decisions on the kernel backend):

    shaper:  htb (rate) - ets (strict bands, then deficit round robin) - a bfifo, red or codel for each queue
    delay:   netem (each frame's time on the link) - netem (loss, corruption, delay, jitter)

HTB releases a frame when the link is free; the first netem holds it until its last bit is sent, and corrects frames
that HTB's bucket releases early. The kernel allows duplication only with a single netem: such a link has one for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

from helsewan.emulation.kernel.classifier import Classes, queue_program, too_long_program
from helsewan.emulation.links.model_rows import FULL_FRAME_BYTES
from helsewan.emulation.links.pipe_model import PARETO_SHAPE, ClassQueue, CoDel, Distribution, PipeModel, Red
from helsewan.emulation.netlink import traffic_control
from helsewan.emulation.netlink.traffic_control import Netem, Request

BURST_US = 200  # how late HTB's timer may be without reducing the rate
IN_ORDER_BPS = 1 << 40  # a rate too high to matter; a netem with a rate keeps frames in order
SHORTEST_FRAME_BYTES = 60
SPARE_FRAMES = 1000  # queue length in addition to the frames in transit on the link
MOST_SPREADS = 4  # standard deviations, as in the model
TABLE_SIZE = 4096
TABLE_SCALE = 8192  # netem's one standard deviation

_HTB, _HTB_CLASS, _ETS, _FIRST_QUEUE = 0x10000, 0x10001, 0x20000, 0x100000
_NETEM, _NETEM_CHILD, _NETEM_INNER = 0x10000, 0x10001, 0x20000


class NotInKernel(ValueError):
    """The kernel's queueing disciplines cannot implement a model; the message names the setting and the reason."""


@dataclass(frozen=True)
class Shaper:
    """The first half of a pipe, on the egress of interface ``index``."""

    index: int
    classes: Classes

    def build(self, model: PipeModel) -> Iterator[Request]:
        """Requests that create the disciplines. Raises NotInKernel."""
        check(model)
        stab = traffic_control.size_table(model.overhead_bytes) if _counts_overhead(model) else b""
        yield traffic_control.qdisc(self.index, _HTB, traffic_control.ROOT, "htb", traffic_control.htb(1), stab=stab)
        yield self._rate(model, create=True)
        yield from self._queues(model, create=True)
        yield from self._filters(model, create=True)

    def change(self, old: PipeModel, new: PipeModel) -> Iterator[Request]:
        """Requests that change one model to another; queued frames stay. Raises NotInKernel."""
        check(new)
        _check_change(old, new)
        if old.overhead_bytes != new.overhead_bytes and _counts_overhead(new):
            stab = traffic_control.size_table(new.overhead_bytes)
            yield traffic_control.qdisc(self.index, _HTB, traffic_control.ROOT, "htb", stab=stab, create=False)
        yield self._rate(new, create=False)
        yield from self._queues(new, create=False)
        if old.mtu_bytes != new.mtu_bytes:
            yield from self._filters(new, create=False)

    def _rate(self, model: PipeModel, *, create: bool) -> Request:
        overhead = 0 if _counts_overhead(model) else model.overhead_bytes
        return traffic_control.htb_class(
            self.index, _HTB_CLASS, _HTB, model.rate_bps, BURST_US, overhead, create=create
        )

    def _queues(self, model: PipeModel, *, create: bool) -> Iterator[Request]:
        weights = [queue.weight for queue in model.queues if not queue.strict]
        quanta = [weight * FULL_FRAME_BYTES // min(weights) for weight in weights]
        bands = _bands(model)
        options = traffic_control.ets(len(bands) - len(quanta), quanta, bands.index(self._other(model)))
        yield traffic_control.qdisc(self.index, _ETS, _HTB_CLASS, "ets", options, create=create)
        for band, number in enumerate(bands):
            kind, leaf = _leaf(model.queues[number], model.rate_bps, create)
            handle, parent = _FIRST_QUEUE + (number << 16), _ETS + band + 1
            yield traffic_control.qdisc(self.index, handle, parent, kind, leaf, create=create)

    def _filters(self, model: PipeModel, *, create: bool) -> Iterator[Request]:
        bands = _bands(model)
        of_queue = [_ETS + bands.index(number) + 1 for number in range(len(bands))]
        programs = (too_long_program(model.mtu_bytes), True), (queue_program(self.classes, of_queue), False)
        for priority, (program, drop) in enumerate(programs, 1):
            yield traffic_control.classifier(self.index, _ETS, priority, program, drop=drop, create=create)

    def _other(self, model: PipeModel) -> int:
        return min(self.classes.other_queue, len(model.queues) - 1)


@dataclass(frozen=True)
class Delay:
    """The second half of a pipe, on the egress of interface ``index``."""

    index: int

    def build(self, model: PipeModel) -> Iterator[Request]:
        """Requests that create the disciplines."""
        yield from self._set(model, blackhole=False, create=True)

    def change(self, model: PipeModel, blackhole: bool) -> Iterator[Request]:
        """Requests that set another model, or make the pipe a black hole; frames in transit keep their times."""
        yield from self._set(model, blackhole=blackhole, create=False)

    def _set(self, model: PipeModel, *, blackhole: bool, create: bool) -> Iterator[Request]:
        if model.duplicate:
            whole = traffic_control.netem(_transit(model, blackhole, model.rate_bps))
            yield traffic_control.qdisc(self.index, _NETEM, traffic_control.ROOT, "netem", whole, create=create)
            return
        sending = Netem(_sending_frames(model), rate_bps=model.rate_bps, overhead_bytes=model.overhead_bytes)
        transit = traffic_control.netem(_transit(model, blackhole, 0 if _reorders(model) else IN_ORDER_BPS))
        yield traffic_control.qdisc(
            self.index, _NETEM, traffic_control.ROOT, "netem", traffic_control.netem(sending), create=create
        )
        yield traffic_control.qdisc(self.index, _NETEM_INNER, _NETEM_CHILD, "netem", transit, create=create)


def check(model: PipeModel) -> None:
    """Raise NotInKernel for a model that no arrangement of disciplines can implement."""
    aqms = [queue.aqm for queue in model.queues]
    timed = any(queue.limit_us is not None for queue in model.queues)
    counted = any(queue.limit_bytes is not None for queue in model.queues)
    refusals = {
        "a buffer shared by the queues: each discipline counts its own": model.buffer_bytes is not None,
        "a RED curve for each drop precedence: gred reads another mark than DSCP": any(
            isinstance(aqm, Red) and len(aqm.curves) > 1 for aqm in aqms
        ),
        "limits in bytes (or RED) beside limits in time: it counts frames with the link's overhead or without": timed
        and (counted or any(isinstance(aqm, Red) for aqm in aqms)),
        "an overhead below 0 beside limits in bytes or RED": not _counts_overhead(model) and model.overhead_bytes < 0,
        "a limit beside CoDel: its own is in frames": any(
            isinstance(queue.aqm, CoDel) and _limit_bytes(queue, model.rate_bps) is not None for queue in model.queues
        ),
        "a limit below a full frame: its queues also hold a frame that finds the link idle": any(
            (_limit_bytes(queue, model.rate_bps) or FULL_FRAME_BYTES) < FULL_FRAME_BYTES for queue in model.queues
        ),
        "duplication beside jitter that reorders: it allows one netem only": bool(model.duplicate) and _reorders(model),
    }
    if refused := [what for what, is_set in refusals.items() if is_set]:
        raise NotInKernel("the kernel does not have " + "; nor ".join(refused))


def _check_change(old: PipeModel, new: PipeModel) -> None:
    changes = {
        "the number of queues, or which of them are strict": [q.strict for q in old.queues]
        != [q.strict for q in new.queues],
        "a queue's kind of management": [type(q.aqm) for q in old.queues] != [type(q.aqm) for q in new.queues],
        "the limit of a queue with RED": any(
            isinstance(a.aqm, Red) and a.limit_bytes != b.limit_bytes
            for a, b in zip(old.queues, new.queues, strict=False)
        ),
        "limits from bytes to time or back": _counts_overhead(old) != _counts_overhead(new),
        "duplication from none to some or back": bool(old.duplicate) != bool(new.duplicate),
    }
    if lossy := [what for what, is_changed in changes.items() if is_changed]:
        raise NotInKernel(f"the kernel cannot change {' or '.join(lossy)} without losing queued frames")


def _counts_overhead(model: PipeModel) -> bool:
    """Whether frames are counted with the link's overhead everywhere, as required by limits in time and weights, or
    for the rate only, as required by limits in bytes and RED."""
    return not any(queue.limit_bytes is not None or isinstance(queue.aqm, Red) for queue in model.queues)


def _bands(model: PipeModel) -> list[int]:
    """Queue numbers in ETS's order: strict ones first."""
    return sorted(range(len(model.queues)), key=lambda number: not model.queues[number].strict)


def _limit_bytes(queue: ClassQueue, rate_bps: int) -> int | None:
    timed = None if queue.limit_us is None else rate_bps * queue.limit_us // 8_000_000
    return timed if queue.limit_bytes is None else queue.limit_bytes


def _leaf(queue: ClassQueue, rate_bps: int, create: bool) -> tuple[str, bytes]:
    limit = _limit_bytes(queue, rate_bps)
    limit = traffic_control.UNLIMITED_BYTES if limit is None else limit
    if isinstance(queue.aqm, Red):
        return "red", traffic_control.red(queue.aqm, limit if create else 0)
    if isinstance(queue.aqm, CoDel):
        return "codel", traffic_control.codel(queue.aqm)
    return "bfifo", traffic_control.bfifo(limit)


def _reorders(model: PipeModel) -> bool:
    return model.jitter is not None and model.jitter.reorder


def _transit(model: PipeModel, blackhole: bool, rate_bps: int) -> Netem:
    """The netem settings for loss, corruption, delay and jitter; with a rate, frames are sent one after the other."""
    jitter, loss = model.jitter, model.loss
    chances = (0.0, 1.0, 1.0, 1.0) if blackhole else (loss.p, loss.r, loss.bad, loss.good) if loss else None
    return Netem(
        limit_frames=_transit_frames(model),
        delay_ns=model.delay_us * 1000,
        jitter_ns=jitter.spread_us * 1000 if jitter else 0,
        table=distribution_table(jitter.distribution) if jitter else (),
        rate_bps=rate_bps,
        overhead_bytes=model.overhead_bytes,
        loss=chances,
        duplicate=model.duplicate,
        corrupt=model.corrupt,
    )


def _sending_frames(model: PipeModel) -> int:
    return SPARE_FRAMES + model.rate_bps * BURST_US // 8_000_000 // SHORTEST_FRAME_BYTES


def _transit_frames(model: PipeModel) -> int:
    longest_us = model.delay_us + (MOST_SPREADS * model.jitter.spread_us if model.jitter else 0)
    return _sending_frames(model) + model.rate_bps * longest_us // 8_000_000 // SHORTEST_FRAME_BYTES


@cache
def distribution_table(distribution: Distribution) -> tuple[int, ...]:
    """Netem's table of a distribution of mean 0: quantiles in multiples of the spread, limited to ``MOST_SPREADS``."""
    shares = ((number + 0.5) / TABLE_SIZE for number in range(TABLE_SIZE))
    return tuple(min(32767, round(_quantile(distribution, share) * TABLE_SCALE)) for share in shares)


def _quantile(distribution: Distribution, share: float) -> float:
    if distribution is Distribution.UNIFORM:
        return 2 * share - 1
    if distribution is Distribution.NORMAL:
        value = NormalDist().inv_cdf(share)
    else:
        mean = PARETO_SHAPE / (PARETO_SHAPE - 1)
        deviation = (PARETO_SHAPE / (PARETO_SHAPE - 2)) ** 0.5 / (PARETO_SHAPE - 1)
        value = ((1 - share) ** (-1 / PARETO_SHAPE) - mean) / deviation
    return max(-MOST_SPREADS, min(MOST_SPREADS, value))
