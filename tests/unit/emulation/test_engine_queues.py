"""Queueing and drops in the link engine: limits, shared buffer, MTU, RED and CoDel, with expected values by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_bench import Bench, ipv4, mark_of
from scipy import stats

from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, PipeModel, Red, RedCurve

MS = 1_000_000
SLOW = PipeModel(rate_bps=8_000_000, delay_us=0, overhead_bytes=0)  # a byte a microsecond
ALWAYS, NEVER = RedCurve(0, 0), RedCurve(1 << 40, 1 << 41)


def survivors(model: PipeModel, frames: list[tuple[int, bytes]], queues: int = 8) -> list[int]:
    """The marks of what comes out, in order."""
    bench = Bench()
    bench.configure(queues)
    bench.lay(model)
    return [mark_of(frame) for _, frame in bench.run(frames)]


def burst(count: int, length: int = 1000, dscp: int = 0) -> list[tuple[int, bytes]]:
    """Frames that arrive at once; the first finds the line free."""
    return [(0, ipv4(length, dscp, mark)) for mark in range(count)]


def test_a_limit_in_time_counts_overhead_and_follows_the_rate() -> None:
    model = replace(SLOW, queues=(ClassQueue(limit_us=3_000),))
    assert survivors(model, burst(9)) == [0, 1, 2, 3]
    assert survivors(replace(model, overhead_bytes=1), burst(9)) == [0, 1, 2]
    assert survivors(replace(model, rate_bps=16_000_000), burst(9)) == list(range(7))
    assert survivors(replace(model, queues=(ClassQueue(limit_us=2_999),)), burst(9)) == [0, 1, 2]


def test_after_a_change_of_rate_a_limit_in_time_is_as_long_as_before() -> None:
    bench = Bench()
    model = replace(SLOW, queues=(ClassQueue(limit_us=3_000),))
    bench.lay(model)
    bench.run(burst(3), until_ns=0)
    bench.change(0, model=replace(model, rate_bps=16_000_000))
    assert len(bench.run(burst(9))) == 3 + 4


def test_both_limits_hold_where_both_are_given() -> None:
    assert survivors(replace(SLOW, queues=(ClassQueue(limit_us=3_000, limit_bytes=2_000),)), burst(9)) == [0, 1, 2]
    assert survivors(replace(SLOW, queues=(ClassQueue(limit_us=1_000, limit_bytes=9_000),)), burst(9)) == [0, 1]


def test_without_limits_all_wait() -> None:
    assert survivors(SLOW, burst(500)) == list(range(500))


def test_the_shared_buffer_holds_all_queues_together() -> None:
    bench = Bench()
    bench.configure(2)
    bench.lay(replace(SLOW, queues=(ClassQueue(limit_bytes=2_000), ClassQueue()), buffer_bytes=5_000))
    assert len(bench.run(burst(9, dscp=0) + burst(9, dscp=1))) == 3 + 3
    assert bench.class_counts("drop_tail")[:2] == [6, 0]
    assert bench.class_counts("drop_buffer")[:2] == [0, 6]


def test_classes_beyond_the_last_queue_share_it() -> None:
    bench = Bench()
    bench.configure(8)
    bench.lay(replace(SLOW, queues=(ClassQueue(), ClassQueue(limit_bytes=2_000))))
    bench.run([(0, ipv4(1000, dscp)) for dscp in (1, 1, 5, 7, 1)])
    assert bench.class_counts("frames_in")[:3] == [0, 5, 0]
    assert bench.class_counts("drop_tail")[:2] == [0, 2]


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"])
def test_the_mtu_is_of_the_payload_behind_tags(tags: bytes) -> None:
    bench = Bench()
    bench.lay(replace(SLOW, mtu_bytes=1500))
    longest = bytes(12) + tags + b"\x08\x00\x45\x00" + bytes(1498)
    assert [frame for _, frame in bench.run([(0, longest), (0, longest + b"\x00")])] == [longest]
    assert bench.drops() == {"drop_mtu": 1}


def test_red_follows_its_average_by_hand() -> None:
    """The average moves half way to the queue with each arrival; what is dropped does not wait."""
    red = Red((RedCurve(2_000, 2_000),), weight_shift=1)
    # waiting at each arrival, in thousands: 0 0 1 2 3 4; averages: 0 0 .5 1.25 2.125 (drop) 2.5625 (drop) ...
    model = replace(SLOW, queues=(ClassQueue(aqm=red),))
    assert survivors(model, burst(7)) == [0, 1, 2, 3]
    # after 4 ms all were sent: each arrival that finds nothing halves the average, until it is below 2,000
    later = [(10 * MS + n * MS, ipv4(1000, mark=10 + n)) for n in range(2)]
    bench = Bench()
    bench.lay(model)
    assert [mark_of(frame) for _, frame in bench.run([*burst(7), *later])] == [0, 1, 2, 3, 10, 11]
    assert bench.drops() == {"drop_red": 3}


def test_red_drops_in_proportion_between_its_thresholds() -> None:
    """With an average that stays at the queue (shift 0) of 50 frames, half way: half of ``most``, 0.2."""
    bench = Bench()
    curve = RedCurve(25_000, 75_000, most=0.4)
    bench.lay(replace(SLOW, rate_bps=1, queues=(ClassQueue(limit_bytes=50_000, aqm=Red((curve,), weight_shift=0)),)))
    bench.change(0, model=replace(SLOW, rate_bps=1, queues=(ClassQueue(limit_bytes=50_000),)))
    bench.run(burst(51), until_ns=0)
    bench.change(0, model=replace(SLOW, rate_bps=1, queues=(ClassQueue(limit_bytes=50_000, aqm=Red((curve,), 0)),)))
    bench.run(burst(5_000), until_ns=0)
    drops = bench.drops()
    assert drops["drop_red"] + drops["drop_tail"] == 5_000
    assert stats.binomtest(drops["drop_red"], 5_000, 0.2).pvalue > 0.01


def frames_of_precedence() -> dict[bytes, int]:
    """Frames and the drop precedence they have: AF11 to AF43 behind all sorts of headers, and others."""
    known = {}
    for dscp in range(64):
        assured = dscp >> 3 in (1, 2, 3, 4) and not dscp & 1 and dscp >> 1 & 3
        precedence = dscp >> 1 & 3 if assured else 1
        v4, v6 = bytes([0x45, dscp << 2]), bytes([0x60 | dscp >> 2, dscp << 6 & 0xFF])
        for kind, ip in ((b"\x08\x00", v4), (b"\x86\xdd", v6)):
            known[bytes(12) + kind + ip + bytes(46)] = precedence
            known[bytes(12) + b"\x81\x00\x00\x05" + kind + ip + bytes(46)] = precedence
            known[bytes(12) + b"\x88\x47" + b"\x00\x01\x00\x40" + b"\x00\x02\x01\x40" + ip + bytes(46)] = precedence
    endless = bytes(12) + b"\x88\x47" + b"\x00\x01\x00\x40" * 12 + bytes([0x45, 14 << 2]) + bytes(46)
    cut = bytes(12) + b"\x88\x47" + b"\x00\x01\x01\x40"
    arp = bytes(12) + b"\x08\x06" + bytes([0x45, 14 << 2]) + bytes(46)
    return known | dict.fromkeys((endless, cut, cut + b"\x45", arp, bytes(14)), 1)


@pytest.mark.parametrize("precedence", [1, 2, 3])
def test_wred_goes_by_the_drop_precedence(precedence: int) -> None:
    """Also behind MPLS labels, where the router sees it no more."""
    curves = tuple(ALWAYS if number == precedence else NEVER for number in (1, 2, 3))
    bench = Bench()
    bench.lay(replace(SLOW, queues=(ClassQueue(aqm=Red(curves)),)))
    frames = frames_of_precedence()
    passed = {frame for _, frame in bench.run([(0, frame) for frame in frames])}
    assert passed == {frame for frame, one in frames.items() if one != precedence}


def test_codel_lets_a_burst_pass_that_is_gone_within_an_interval() -> None:
    model = replace(SLOW, queues=(ClassQueue(aqm=CoDel(target_us=5_000, interval_us=100_000)),))
    assert survivors(model, burst(100)) == list(range(100))


def test_codel_drops_at_the_head_by_hand() -> None:
    """100 frames at once, 1 ms each; target 5 ms, interval 20 ms. Frame 5 is the first that waited 5 ms, at 5 ms, so
    dropping begins at 25 ms, when frame 25 is dropped and 26 sent. The next drops are due after 20, 20 / sqrt 2,
    20 / sqrt 3 ms and so on, at 45, 59.1, 70.7 and 80.7 ms, each at the next decision: 46 is at the head at 45 ms (one
    place was won by the first drop), then 62, 75, 87 at 60, 71 (72 is 75's turn), 81 ms."""
    model = replace(SLOW, queues=(ClassQueue(aqm=CoDel(target_us=5_000, interval_us=20_000)),))
    kept = survivors(model, burst(100))
    dropped = sorted(set(range(100)) - set(kept))
    # decision k (at k ms) sends frame k + the drops before it; drops fall at 25, 45, 60, 71, 81, 90 ms
    assert dropped[:6] == [25 + 0, 45 + 1, 60 + 2, 71 + 3, 81 + 4, 90 + 5]


def test_codel_never_empties_a_queue() -> None:
    model = replace(SLOW, queues=(ClassQueue(aqm=CoDel(target_us=0, interval_us=1)),))
    kept = survivors(model, burst(50))
    assert kept[-1] == 49 and len(kept) > 1


def test_codel_judges_each_queue_by_itself_and_weights_still_share() -> None:
    """What CoDel drops costs its class nothing: both go on to send as much."""
    classes = tuple(ClassQueue(strict=False, aqm=aqm) for aqm in (CoDel(1_000, 5_000), None))
    bench = Bench()
    bench.configure(2)
    bench.lay(replace(SLOW, queues=classes))
    bench.run(burst(300, dscp=0) + burst(300, dscp=1), until_ns=100 * MS)
    sent = bench.class_counts("frames_sent")
    assert abs(sent[0] - sent[1]) <= 3
    assert bench.class_counts("drop_codel")[0] > 20
    assert bench.class_counts("drop_codel")[1] == 0


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        (ClassQueue(aqm=Red(())), "RED curves: 3 values, not 0"),
        (ClassQueue(aqm=Red((ALWAYS, ALWAYS))), "RED curves: 3 values, not 2"),
        (ClassQueue(aqm=Red((ALWAYS,), weight_shift=33)), "weight_shift 33"),
        (ClassQueue(aqm=Red((RedCurve(10, 9),))), "max_bytes 9 is not within 10"),
        (ClassQueue(aqm=Red((RedCurve(0, 9, most=1.1),))), "most 1.1 is not a probability"),
        (ClassQueue(aqm=CoDel(interval_us=0)), "interval_ns 0"),
        (ClassQueue(limit_us=-1), "limit_us -1"),
        (ClassQueue(strict=False, weight=0), "at least 1"),
    ],
)
def test_an_impossible_queue_is_refused(queue: ClassQueue, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bench().lay(replace(SLOW, queues=(queue,)))
