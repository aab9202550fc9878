"""Translation of link models to kernel requests, and the models that are refused."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, pstdev

import pytest

from helsewan.emulation.kernel.classifier import ONE_QUEUE
from helsewan.emulation.kernel.pipe import (
    MOST_SPREADS,
    TABLE_SCALE,
    Delay,
    NotInKernel,
    Shaper,
    check,
    distribution_table,
)
from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Distribution, Jitter, PipeModel, Red, RedCurve

LINE = PipeModel(10_000_000, 5_000, (ClassQueue(limit_us=50_000), ClassQueue(limit_us=50_000, strict=False)))
CURVE = RedCurve(10_000, 30_000)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (replace(LINE, buffer_bytes=100_000), "a buffer shared by the queues"),
        (replace(LINE, queues=(ClassQueue(aqm=Red((CURVE, CURVE, CURVE))),)), "a RED curve for each drop precedence"),
        (replace(LINE, queues=(ClassQueue(limit_us=50_000), ClassQueue(limit_bytes=50_000))), "limits in bytes"),
        (replace(LINE, overhead_bytes=-14, queues=(ClassQueue(limit_bytes=50_000),)), "an overhead below 0"),
        (replace(LINE, queues=(ClassQueue(limit_us=50_000, aqm=CoDel()),)), "a limit beside CoDel"),
        (replace(LINE, queues=(ClassQueue(limit_bytes=1_000),)), "a limit below a full frame"),
        (replace(LINE, duplicate=0.1, jitter=Jitter(1_000, reorder=True)), "duplication beside jitter that reorders"),
    ],
)
def test_a_model_beyond_the_kernel_is_refused_with_the_reason(model: PipeModel, reason: str) -> None:
    with pytest.raises(NotInKernel, match=reason):
        list(Shaper(1, ONE_QUEUE).build(model))


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (replace(LINE, queues=LINE.queues[:1]), "the number of queues"),
        (replace(LINE, queues=(LINE.queues[0], replace(LINE.queues[1], strict=True))), "which of them are strict"),
        (replace(LINE, queues=(LINE.queues[0], ClassQueue(strict=False, aqm=CoDel()))), "kind of management"),
        (replace(LINE, duplicate=0.1), "duplication from none to some"),
    ],
)
def test_a_change_that_would_lose_queued_frames_is_refused(new: PipeModel, reason: str) -> None:
    with pytest.raises(NotInKernel, match=reason):
        list(Shaper(1, ONE_QUEUE).change(LINE, new))


def test_everything_else_about_a_line_changes_without_being_made_anew() -> None:
    new = replace(LINE, rate_bps=2_000_000, delay_us=9_000, mtu_bytes=1500, overhead_bytes=4, corrupt=0.1)
    requests = [*Shaper(1, ONE_QUEUE).change(LINE, new), *Delay(2).change(new, blackhole=False)]
    exclusive = 0x200  # NLM_F_EXCL, of what is made
    flags = [int.from_bytes(request.message[6:8], "little") for request in requests]
    assert requests and not any(flag & exclusive for flag in flags)


def test_a_model_that_the_kernel_can_do_is_not_refused() -> None:
    check(LINE)
    check(replace(LINE, overhead_bytes=-14, queues=(ClassQueue(),)))
    check(replace(LINE, queues=(ClassQueue(limit_bytes=50_000, aqm=Red((CURVE,))),)))
    check(replace(LINE, duplicate=0.1, jitter=Jitter(1_000)))


@pytest.mark.parametrize(
    ("distribution", "spread"),
    # uniform: the spread is sqrt(3) standard deviations; Pareto of shape 3: a quarter of the variance is beyond the cut
    [(Distribution.UNIFORM, 3**-0.5), (Distribution.NORMAL, 1.0), (Distribution.PARETO, 0.74)],
)
def test_tables_have_mean_zero_and_the_spread_of_the_model(distribution: Distribution, spread: float) -> None:
    table = [value / TABLE_SCALE for value in distribution_table(distribution)]
    assert abs(fmean(table)) < 0.03
    assert abs(pstdev(table) - spread) < 0.05
    assert max(map(abs, table)) <= MOST_SPREADS
    assert table == sorted(table)
