"""Changes of a link while frames are queued and in flight: complete, at one time, and without loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_bench import FOREVER, Bench, ipv4, mark_of
from hypothesis import given
from hypothesis import strategies as st

from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Jitter, Loss, PipeModel, Red, RedCurve

MS = 1_000_000
SLOW = PipeModel(rate_bps=8_000_000, delay_us=10_000, overhead_bytes=0)  # a full frame of 1,000 bytes takes a ms


def burst(count: int, dscp: int = 0) -> list[tuple[int, bytes]]:
    """Frames of 1 ms each that arrive at 0."""
    return [(0, ipv4(1000, dscp, mark)) for mark in range(count)]


def due_ms(delivered: list[tuple[int, bytes]]) -> list[float]:
    """When frames came."""
    return [due / MS for due, _ in delivered]


def test_a_frozen_line_goes_on_where_it_was() -> None:
    """Frozen from 12.5 to 100 ms: 2 frames were delivered, 10 are in flight, one is half sent, the rest waits."""
    bench = Bench()
    bench.lay(SLOW)
    assert due_ms(bench.run(burst(20), until_ns=12_500_000)) == [11, 12]
    bench.change(12_500_000, paused=True)
    assert bench.run([], until_ns=100 * MS) == []
    bench.change(100 * MS, paused=False)
    assert due_ms(bench.run([])) == [number + 10 + 87.5 for number in range(3, 21)]


def test_what_arrives_at_a_frozen_line_waits_as_far_as_the_limits_allow() -> None:
    bench = Bench()
    bench.lay(replace(SLOW, queues=(ClassQueue(limit_bytes=3_000),)))
    bench.change(MS, paused=True)
    bench.run([(2 * MS, ipv4(1000, mark=mark)) for mark in range(5)], until_ns=3 * MS)
    assert bench.drops() == {"drop_tail": 2}
    bench.change(50 * MS, paused=False)
    assert due_ms(bench.run([(50 * MS, ipv4(1000))])) == [61, 62, 63, 64]


def test_freezing_twice_is_freezing_once_and_changes_hold_after_it() -> None:
    bench = Bench()
    bench.lay(SLOW)
    bench.run(burst(2), until_ns=0)
    bench.change(MS // 2, paused=True)
    bench.change(5 * MS, paused=True, model=replace(SLOW, rate_bps=16_000_000, delay_us=1_000))
    bench.change(20 * MS + MS // 2, paused=False)
    # the first was on the line and keeps its delay; the second is sent faster but does not overtake it
    assert due_ms(bench.run([])) == [31, 31]
    assert due_ms(bench.run([(40 * MS, ipv4(1000))])) == [41.5]


def test_the_wait_while_frozen_is_none() -> None:
    bench = Bench()
    bench.lay(SLOW)
    bench.run(burst(2), until_ns=0)
    bench.change(0, paused=True)
    bench.change(500 * MS, paused=False)
    bench.run([])
    assert bench.counters.of_classes(0)[0]["queue_max_ns"] == MS


def test_a_cut_empties_a_frozen_line() -> None:
    bench = Bench()
    bench.lay(SLOW)
    bench.run(burst(5), until_ns=0)
    bench.change(MS, paused=True)
    bench.change(2 * MS, down=True)
    bench.change(3 * MS, down=False, paused=False)
    assert due_ms(bench.run([(3 * MS, ipv4(1000))])) == [14]
    assert bench.drops() == {"drop_down": 5}


def test_silence_lets_frames_be_sent_and_vanish() -> None:
    """Those in flight arrive; those sent in silence are gone, and took their time on the line."""
    bench = Bench()
    bench.lay(SLOW)
    bench.run(burst(10), until_ns=2_500_000)
    bench.change(2_500_000, blackhole=True)
    bench.change(5_500_000, blackhole=False)
    assert due_ms(bench.run([])) == [11, 12, 13, 17, 18, 19, 20]
    assert bench.drops() == {"drop_silent": 3}


def test_new_weights_hold_from_the_next_frame_on() -> None:
    """1 to 1, then 3 to 1, for frames of a full quantum."""
    bench = Bench()
    bench.configure(2)

    def classes(first: int) -> PipeModel:
        return replace(SLOW, queues=(ClassQueue(strict=False, weight=first), ClassQueue(strict=False)))

    bench.lay(classes(1))
    arrivals = [(0, ipv4(1664, dscp, dscp)) for _ in range(60) for dscp in (0, 1)]
    one_ns = 1_664_000
    bench.run(arrivals, until_ns=0)
    bench.change(20 * one_ns, model=classes(3))
    marks = [mark_of(frame) for _, frame in bench.run([], until_ns=10 * MS + 60 * one_ns)]
    assert marks[:20].count(1) == 10
    assert 29 <= marks[20:60].count(0) <= 31


def test_strictness_can_change_sides() -> None:
    bench = Bench()
    bench.configure(2)
    weighted = ClassQueue(strict=False)
    bench.lay(replace(SLOW, queues=(ClassQueue(), weighted)))
    bench.run(burst(4, dscp=0) + burst(4, dscp=1), until_ns=0)
    bench.change(1_500_000, model=replace(SLOW, queues=(weighted, ClassQueue())))
    delivered = bench.run([])
    assert [frame[15] >> 2 for _, frame in delivered] == [0, 0, 1, 1, 1, 1, 0, 0]


def test_frames_of_queues_that_go_wait_in_the_last_one() -> None:
    bench = Bench()
    bench.configure(3)
    bench.lay(replace(SLOW, queues=(ClassQueue(), ClassQueue(), ClassQueue())))
    arrivals = [(0, ipv4(1000, dscp, mark)) for mark, dscp in enumerate((2, 2, 1, 0, 2, 1))]
    bench.run(arrivals, until_ns=0)
    bench.change(0, model=replace(SLOW, queues=(ClassQueue(), ClassQueue())))
    assert [mark_of(frame) for _, frame in bench.run([])] == [0, 3, 2, 5, 1, 4]
    assert bench.class_counts("frames_sent")[:3] == [1, 4, 1]


def test_a_smaller_limit_drops_nothing_that_waits() -> None:
    bench = Bench()
    bench.lay(SLOW)
    bench.run(burst(10), until_ns=0)
    bench.change(0, model=replace(SLOW, queues=(ClassQueue(limit_bytes=0),), buffer_bytes=0, mtu_bytes=10))
    assert len(bench.run([])) == 10


def test_a_longer_delay_holds_for_what_is_sent_from_then_on() -> None:
    bench = Bench()
    bench.lay(SLOW)
    bench.run(burst(4), until_ns=0)
    bench.change(1_500_000, model=replace(SLOW, delay_us=30_000))
    # the second was on the line already
    assert due_ms(bench.run([])) == [11, 12, 33, 34]


def test_frames_already_out_of_order_are_not_overtaken_once_order_is_kept() -> None:
    bench = Bench()
    jittery = replace(SLOW, rate_bps=8_000_000_000, jitter=Jitter(9_000, reorder=True))
    bench.lay(jittery, seed=2)
    bench.run([(0, ipv4(100, mark=mark)) for mark in range(200)], until_ns=MS)
    bench.change(MS, model=replace(jittery, jitter=None))
    delivered = [mark_of(frame) for _, frame in bench.run([(MS, ipv4(100, mark=200))])]
    assert sorted(delivered[:-1]) == list(range(200)) != delivered[:-1]
    assert delivered[-1] == 200


KINDS = st.sampled_from(
    [
        SLOW,
        replace(SLOW, rate_bps=3_000_000, queues=(ClassQueue(aqm=CoDel(100, 500)), ClassQueue(strict=False))),
        replace(SLOW, queues=(ClassQueue(aqm=Red((RedCurve(500, 4_000, 0.5),), 1)),), jitter=Jitter(3_000)),
        replace(SLOW, jitter=Jitter(8_000, reorder=True), duplicate=0.3, corrupt=0.3, loss=Loss(0.2, 0.5)),
        replace(SLOW, buffer_bytes=3_000, mtu_bytes=800, overhead_bytes=24),
    ]
)
SWITCHES = st.fixed_dictionaries({}, optional={name: st.booleans() for name in ("down", "blackhole", "paused")})
CHANGES = st.lists(st.tuples(st.integers(0, 30), st.none() | KINDS, SWITCHES), max_size=8)


@given(CHANGES, st.booleans(), st.integers(0, 9))
def test_every_frame_is_accounted_for_whatever_changes(
    changes: list[tuple[int, PipeModel | None, dict[str, bool]]], prompt: bool, seed: int
) -> None:
    bench = Bench()
    bench.configure(2)
    bench.lay(SLOW, seed)
    arrivals = [(n * MS // 3, 0, ipv4(60 + n * 37 % 1000, dscp=n % 2, mark=n)) for n in range(90)]
    done, delivered = 0, 0
    for time_ms, model, switches in sorted(changes, key=lambda change: change[0]):
        now = time_ms * MS
        part = [arrival for arrival in arrivals[done:] if arrival[0] <= now]
        delivered += len(bench.engine.simulate(part, now, prompt))
        done += len(part)
        bench.change(now, model=model, **switches)
    delivered += len(bench.engine.simulate(arrivals[done:], FOREVER, prompt))
    record = bench.counters.pipes[0]
    kept = int(record["queued_frames"] + record["flight_frames"])
    assert record["frames_out"] == delivered
    assert record["frames_in"] == 90
    assert 90 + record["duplicated"] == delivered + kept + sum(bench.drops().values())
    bench.change(FOREVER, paused=False)
    bench.change(FOREVER, down=True)
    assert bench.counters.pipes[0]["queued_frames"] == bench.counters.pipes[0]["flight_frames"] == 0


def test_a_change_of_many_lines_is_refused_as_a_whole() -> None:
    bench = Bench()
    bench.lay(SLOW)
    with pytest.raises(ValueError, match="there is no pipe 3"):
        bench.change(0, 0, 3, model=replace(SLOW, rate_bps=1))
    assert due_ms(bench.run(burst(1))) == [11]
