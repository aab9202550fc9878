"""That the table can refuse: a line that is a little otherwise than its case says does not pass, on any clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from backends import ReferenceBackend
from cases import FULL, TABLE
from experiment import Observation, Precision

from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Distribution, Jitter, Loss, PipeModel, Red

LIVE = Precision(median_us=200, p99_us=600)  # of a live backend on a machine that has much else to do
CASES = {case.name: case for case in TABLE}


def queue(**changes: object) -> Callable[[PipeModel], PipeModel]:
    """The line with other settings of its first queue."""
    return lambda model: replace(model, queues=(replace(model.queues[0], **changes), *model.queues[1:]))


def flat(model: PipeModel) -> PipeModel:
    """The line with all queues alike."""
    return replace(model, queues=tuple(ClassQueue(strict=False) for _ in model.queues))


def without_precedence(model: PipeModel) -> PipeModel:
    """The line with the same curve for all drop precedences."""
    red = model.queues[0].aqm
    assert isinstance(red, Red)
    return queue(aqm=replace(red, curves=red.curves[:1]))(model)


WRONG: dict[str, Callable[[PipeModel], PipeModel]] = {
    "rate-10M": lambda model: replace(model, rate_bps=model.rate_bps * 102 // 100),
    "rate-1000M": lambda model: replace(model, rate_bps=model.rate_bps * 2),
    "overhead-layer1": lambda model: replace(model, overhead_bytes=22),
    "overhead-layer3": lambda model: replace(model, overhead_bytes=-13),
    "delay-5ms": lambda model: replace(model, delay_us=model.delay_us + 500),
    "jitter-uniform": lambda model: replace(model, jitter=Jitter(4_000, Distribution.NORMAL, reorder=True)),
    "jitter-normal": lambda model: replace(model, jitter=Jitter(4_500, Distribution.NORMAL, reorder=True)),
    "jitter-pareto": lambda model: replace(model, jitter=Jitter(4_000, Distribution.NORMAL, reorder=True)),
    "jitter-in-order": lambda model: replace(model, jitter=Jitter(4_000, reorder=True)),
    "loss-bernoulli-1%": lambda model: replace(model, loss=Loss.bernoulli(0.02)),
    "loss-bernoulli-20%": lambda model: replace(model, loss=Loss.bernoulli(0.24)),
    "loss-gilbert-elliott": lambda model: replace(model, loss=Loss.bernoulli(model.loss.mean if model.loss else 0)),
    "loss-correlated": lambda model: replace(model, loss=Loss.correlated(0.1, 0.3)),
    "loss-bursts": lambda model: replace(model, loss=Loss(p=0.05, r=0.35)),
    "duplicates": lambda model: replace(model, duplicate=0.07),
    "corruption": lambda model: replace(model, corrupt=0.07),
    "strict-priority": flat,
    "drr-equal-frames": flat,
    "drr-unlike-frames": flat,
    "limit-bytes": queue(limit_bytes=11 * FULL),
    "limit-time": queue(limit_us=90_000),
    "buffer-shared": lambda model: replace(model, buffer_bytes=None),
    "mtu": lambda model: replace(model, mtu_bytes=1_501),
    "red": queue(aqm=None),
    "wred": without_precedence,
    "codel": queue(aqm=CoDel(target_us=2_000, interval_us=40_000)),
    "codel-bursts": queue(aqm=CoDel(target_us=2_000, interval_us=5_000)),
}


CHANGES = ("freeze", "silent", "down", "trace", "change-weights", "change-loss", "change-rate-up", "change-delay-up")


@pytest.mark.parametrize("name", WRONG)
def test_another_line_is_refused(name: str) -> None:
    experiment, otherwise = CASES[name].experiment, WRONG[name]
    changes = tuple(replace(change, model=otherwise(change.model)) for change in experiment.changes)
    wrong = replace(experiment, model=otherwise(experiment.model), changes=changes)
    seen = ReferenceBackend().run(wrong)
    assert judged(name, seen, Precision())
    assert judged(name, seen, LIVE)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_was_not_made_is_refused(name: str) -> None:
    experiment = CASES[name].experiment
    seen = ReferenceBackend().run(replace(experiment, changes=()))
    assert judged(name, replace(seen, changed_ns=tuple(change.time_ns for change in experiment.changes)), LIVE)


def judged(name: str, seen: Observation, precision: Precision) -> list[str]:
    """What the case says of an observation."""
    case = CASES[name]
    return [line for check in case.checks for line in check(case.experiment, seen, precision)]
