"""Overlays on links add up, and ending one leaves the others, whatever the order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, cast

import pytest

from helsewan.emulation.links.pipe_model import Direction, Loss, PipeModel
from helsewan.emulation.links.trace import Trace, TracePoint
from helsewan.lab.links.link_change import LinkChange, LossChange
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.links.link_overlays import LinkOverlay, LinkOverlays

MODEL = PipeModel(10**9, 5_000)
FORWARD, BACK = Direction


class FakeControl:
    """Links that only remember what was set."""

    def __init__(self) -> None:
        self.originals = dict.fromkeys(("a", "b"), (MODEL, MODEL))
        self.models = dict(self.originals)
        self.blackholes: set[tuple[str, Direction]] = set()
        self.paused: set[str] = set()
        self.traces: dict[tuple[str, Direction], str] = {}
        self.refuses = False

    def set_models(self, models: dict[str, Any]) -> int:
        if self.refuses:
            raise ValueError("refused")
        self.models |= models
        return 1

    def set_blackholes(self, directions: Iterable[tuple[str, Direction]], blackhole: bool) -> int:
        (self.blackholes.update if blackhole else self.blackholes.difference_update)(directions)
        return 2

    def set_paused(self, names: Iterable[str], paused: bool) -> int:
        (self.paused.update if paused else self.paused.difference_update)(names)
        return 3

    def follow_trace(self, name: str, direction: Direction, trace: Trace | None, file: str = "") -> int:
        self.traces.pop((name, direction), None)
        if trace:
            self.traces[name, direction] = file
        return 4


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def overlays(control: FakeControl) -> LinkOverlays:
    return LinkOverlays(cast(LinkControl, control), {"voice": 0})


def test_changes_add_up_in_their_order(control: FakeControl, overlays: LinkOverlays) -> None:
    overlays.begin("slow", LinkOverlay(("a", "b"), change=LinkChange(rate_bps=10**6, delay_us=20_000)))
    overlays.begin("slower", LinkOverlay(("a",), (FORWARD,), LinkChange(rate_bps=64_000)))
    assert [model.rate_bps for model in control.models["a"]] == [64_000, 10**6]
    assert control.models["a"][0].delay_us == 20_000
    overlays.end("slow")
    assert [model.rate_bps for model in control.models["a"]] == [64_000, 10**9]
    assert control.models["a"][0].delay_us == 5_000
    overlays.end("slower")
    assert control.models == control.originals


def test_black_holes_pauses_and_traces_stay_while_one_holds_them(control: FakeControl, overlays: LinkOverlays) -> None:
    trace = Trace((TracePoint(0, rate_bps=1_000),))
    overlays.begin("one", LinkOverlay(("a",), blackhole=True))
    overlays.begin("other", LinkOverlay(("a", "b"), (BACK,), blackhole=True))
    overlays.begin("still", LinkOverlay(("a", "b"), paused=True))
    overlays.begin("still too", LinkOverlay(("b",), paused=True))
    overlays.begin("t1", LinkOverlay(("a",), trace=trace, file="1.csv"))
    overlays.begin("t2", LinkOverlay(("a",), (BACK,), trace=trace, file="2.csv"))
    assert control.traces == {("a", FORWARD): "1.csv", ("a", BACK): "2.csv"}
    for key in ("one", "still", "t2"):
        overlays.end(key)
    assert control.blackholes == {("a", BACK), ("b", BACK)}
    assert control.paused == {"b"}
    assert control.traces == {("a", FORWARD): "1.csv", ("a", BACK): "1.csv"}
    for key in ("other", "still too", "t1"):
        overlays.end(key)
    assert not (control.blackholes or control.paused or control.traces)


def test_a_refused_change_leaves_no_overlay(control: FakeControl, overlays: LinkOverlays) -> None:
    control.refuses = True
    with pytest.raises(ValueError, match="refused"):
        overlays.begin("bad", LinkOverlay(("a",), change=LinkChange(rate_bps=1)))
    control.refuses = False
    overlays.begin("good", LinkOverlay(("a",), change=LinkChange(delay_us=1)))
    assert control.models["a"][0].rate_bps == 10**9


@pytest.mark.parametrize("seed", range(10))
def test_ending_all_in_any_order_restores_everything(seed: int, control: FakeControl, overlays: LinkOverlays) -> None:
    choose = random.Random(seed)
    kinds = (
        LinkOverlay(("a", "b"), change=LinkChange(rate_bps=10**6)),
        LinkOverlay(("a",), (BACK,), LinkChange(loss=LossChange(good=0.1))),
        LinkOverlay(("b",), blackhole=True),
        LinkOverlay(("a", "b"), paused=True),
        LinkOverlay(("a",), trace=Trace((TracePoint(0, loss=0.5),)), file="x"),
    )
    keys = [str(number) for number in range(12)]
    for key in keys:
        overlays.begin(key, choose.choice(kinds))
    choose.shuffle(keys)
    for key in keys:
        overlays.end(key)
    assert control.models == control.originals
    assert not (control.blackholes or control.paused or control.traces)


def test_the_loss_of_a_brown_out_is_the_models(control: FakeControl, overlays: LinkOverlays) -> None:
    overlays.begin("gray", LinkOverlay(("a",), change=LinkChange(loss=LossChange(good=0.01))))
    assert control.models["a"] == (PipeModel(10**9, 5_000, loss=Loss.bernoulli(0.01)),) * 2
