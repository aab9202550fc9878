"""Link models of a plan: its traffic classes as queues of every link, and the classification of frames. Pure."""

from __future__ import annotations

from functools import cache

from helsewan.emulation.kernel.classifier import Classes
from helsewan.emulation.links.link_backend import Shape
from helsewan.emulation.links.model_rows import FULL_FRAME_BYTES
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel
from helsewan.policies.plan import Plan, Scheduling, TrafficClass

MIN_QUEUE_FRAMES = 3  # full frames that every queue can hold, also at low rates


def link_classes(plan: Plan) -> Classes:
    """The queue of each DSCP and MPLS traffic class; frames that are neither IP nor MPLS go to queue 0."""
    best_effort = max(plan.classes, key=lambda cls: cls.queue).queue
    dscp_to_queue, tc_to_queue = [best_effort] * 64, [best_effort] * 8
    for cls in plan.classes:
        for dscp in cls.dscps:
            dscp_to_queue[dscp] = cls.queue
            tc_to_queue[dscp >> 3] = cls.queue
    return Classes(tuple(dscp_to_queue), tuple(tc_to_queue), other_queue=0)


def link_shape(plan: Plan) -> Shape:
    """The model of a link by its rate and delay: a queue for each class, as long as the class's buffer, but never
    shorter than ``MIN_QUEUE_FRAMES`` full frames."""
    classes = {cls.queue: cls for cls in plan.classes}

    @cache  # links of one rate share one value
    def queues(rate_bps: int) -> tuple[ClassQueue, ...]:
        least_us = -(-MIN_QUEUE_FRAMES * FULL_FRAME_BYTES * 8_000_000 // rate_bps)
        return tuple(_queue(classes.get(number), least_us, rate_bps) for number in range(max(classes) + 1))

    return lambda rate_bps, delay_us: PipeModel(rate_bps, delay_us, queues(rate_bps))


def _queue(cls: TrafficClass | None, least_us: int, rate_bps: int) -> ClassQueue:
    if cls is None:
        return ClassQueue(limit_us=least_us)
    strict = cls.scheduling is Scheduling.STRICT
    return ClassQueue(limit_us=max(cls.buffer_us, least_us), strict=strict, weight=cls.weight_at(rate_bps))
