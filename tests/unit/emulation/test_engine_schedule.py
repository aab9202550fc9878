"""Delivery times of the link engine, computed by hand. tests/conformance compares it with an exact model."""

from __future__ import annotations

import socket
from collections import Counter

import pytest
from engine_bench import FOREVER, Bench, Line, ipv4, plain_line
from hypothesis import given
from hypothesis import strategies as st

from helsewan.emulation.links.model_rows import FULL_FRAME_BYTES, quanta

MS = 1_000_000


@given(st.data())
def test_many_lines_keep_their_own_schedules_and_the_common_order(data: st.DataObject) -> None:
    """Eight lines from one trunk, one of them cut on the way: each as if alone, all together by time."""
    count = 8
    rates = data.draw(st.lists(st.sampled_from([500_000, 3_000_000, 70_000_000]), min_size=count, max_size=count))
    lines = [Line(rate, number * MS, 0, (1 << 20,), (0,)) for number, rate in enumerate(rates)]
    gaps = st.tuples(st.integers(0, 2 * MS), st.integers(0, count - 1), st.integers(60, 1500))
    times, arrivals, now = data.draw(st.lists(gaps, min_size=1, max_size=60)), [], 0
    for mark, (gap, number, length) in enumerate(times):
        now += gap
        arrivals.append((now, number, ipv4(length, mark=mark)))
    cut = data.draw(st.integers(0, count - 1))
    half = len(arrivals) // 2
    bench = Bench(ports=count + 1)
    for number, line in enumerate(lines):
        bench.add(line, (count, number + 1), (number, 0))

    def trunked(part: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        return [
            (time, count, data[:12] + b"\x81\x00" + (n + 1).to_bytes(2, "big") + data[12:]) for time, n, data in part
        ]

    delivered = bench.engine.simulate(trunked(arrivals[:half]), arrivals[half][0])
    bench.change(arrivals[half][0], cut, down=True)
    delivered += bench.engine.simulate(trunked(arrivals[half:]), FOREVER)

    assert [due for due, _, _ in delivered] == sorted(due for due, _, _ in delivered)
    for number, line in enumerate(lines):
        alone = Bench()
        alone.add(line)
        until = arrivals[half][0] if number == cut else FOREVER
        own = [(time, 0, frame) for time, n, frame in arrivals if n == number and time <= until]
        expected = alone.engine.simulate(own, until)
        assert [(due, frame) for due, port, frame in delivered if port == number] == [(t, f) for t, _, f in expected]


@given(st.lists(st.integers(0, 50), min_size=30, max_size=60), st.sets(st.integers(0, 29), max_size=12))
def test_the_earliest_delivery_is_always_first(delays: list[int], cut: set[int]) -> None:
    """Also after lines went out of the engine's heap from anywhere in it."""
    bench = Bench()
    for number, delay in enumerate(delays):
        bench.add(plain_line(delay_ns=delay * MS), (0, number + 1), (1, 0))
    trunked = [
        bytes(12) + b"\x81\x00" + (number + 1).to_bytes(2, "big") + ipv4(96)[12:] for number in range(len(delays))
    ]
    bench.engine.simulate([(0, 0, frame) for frame in trunked], 0)
    if cut:
        bench.change(0, *sorted(cut), down=True)
    delivered = bench.engine.simulate([], FOREVER)
    expected = sorted(delay for number, delay in enumerate(delays) if number not in cut)
    assert [due // MS for due, _, _ in delivered] == expected


def test_the_earliest_is_first_even_when_nobody_looked_for_long() -> None:
    """The first line's frame waits for it to thaw, so that when it is due shows only then."""
    bench = Bench()
    for vlan, delay_ns in ((1, 10 * MS), (2, 5 * MS)):
        bench.add(plain_line(delay_ns=delay_ns), (0, vlan), (1, 0))
    bench.change(0, 0, paused=True)
    trunked = [bytes(12) + b"\x81\x00" + vlan.to_bytes(2, "big") + ipv4(96)[12:] for vlan in (1, 2)]
    bench.engine.simulate([(0, 0, frame) for frame in trunked], 0)
    bench.change(MS, 0, paused=False)
    assert [due // MS for due, _, _ in bench.engine.simulate([], FOREVER)] == [5, 11]


def test_a_lone_frame_takes_transmission_and_propagation() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=10_000_000, delay_ns=5 * MS, overhead_bytes=24))
    delivered = bench.engine.simulate([(1000, 0, ipv4(1226))], FOREVER)
    # (1226 + 24) bytes at 10 Mbit/s: 1 ms
    assert [due for due, _, _ in delivered] == [1000 + 1 * MS + 5 * MS]


def test_nothing_is_delivered_before_it_is_due() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000_000, delay_ns=MS))
    assert bench.engine.simulate([(0, 0, ipv4(1000))], 2 * MS - 1) == []
    assert [due for due, _, _ in bench.engine.simulate([], 2 * MS)] == [2 * MS]


def test_rate_has_no_drift() -> None:
    """3 Mbit/s does not divide 8 * 10^9: 3,000 frames of 100 bytes end after exactly 800 ms all the same."""
    bench = Bench()
    bench.add(plain_line(rate_bps=3_000_000))
    delivered = bench.engine.simulate([(0, 0, ipv4(100))] * 3000, FOREVER)
    assert delivered[-1][0] == 800 * MS
    assert delivered[0][0] == 266_667  # up, never early


def test_strict_queues_go_first_in_their_order() -> None:
    bench = Bench()
    bench.configure(3)
    bench.add(Line(8_000_000, 0, 0, (1 << 20,) * 3, (0, 0, 1664)))
    order = [2, 2, 1, 0, 1, 0, 2]
    arrivals = [(0, 0, ipv4(1000, dscp=queue, mark=number)) for number, queue in enumerate(order)]
    delivered = bench.engine.simulate(arrivals, FOREVER)
    # the first found the line free; then by queue, in order of arrival
    assert [frame[16:20] for _, _, frame in delivered] == [bytes([0, 0, 0, mark]) for mark in (0, 3, 5, 2, 4, 1, 6)]


def test_priority_is_decided_when_the_line_gets_free() -> None:
    """A voice frame that comes during a long data frame waits for that one alone."""
    bench = Bench()
    bench.configure(2)
    bench.add(Line(2_000_000, 0, 0, (1 << 20,) * 2, (0, 1664)))
    data = [(0, 0, ipv4(1500, dscp=1))] * 10
    delivered = bench.engine.simulate([*data, (MS, 0, ipv4(250, dscp=0))], FOREVER)
    assert delivered[1][0] == 6 * MS + 1 * MS
    assert len(delivered[1][2]) == 250


@pytest.mark.parametrize("lengths", [(1500, 1500, 1500), (1500, 300, 64)])
def test_weighted_queues_share_by_weight_whatever_their_frame_sizes(lengths: tuple[int, ...]) -> None:
    weights = [5, 3, 2]
    shares = quanta([False] * 3, weights)
    bench = Bench()
    bench.configure(len(shares))
    bench.add(Line(100_000_000, 0, 20, (1 << 24,) * 3, tuple(shares)))
    arrivals = [
        (0, 0, ipv4(length, dscp=queue)) for queue, length in enumerate(lengths) for _ in range(4_000_000 // length)
    ]
    delivered = bench.engine.simulate(arrivals, 200 * MS)  # all three have a backlog all the time
    sent: Counter[int] = Counter()
    for _, _, frame in delivered:
        sent[frame[15] >> 2] += len(frame) + 20
    for queue, weight in enumerate(weights):
        # a queue is ahead or behind by at most its quantum and a frame
        assert abs(sent[queue] - 2_500_000 * weight / 10) <= shares[queue] + 2 * FULL_FRAME_BYTES


def test_a_queue_that_runs_empty_saves_nothing_up() -> None:
    bench = Bench()
    bench.configure(2)
    bench.add(Line(8_000_000, 0, 0, (1 << 20,) * 2, (1000, 1000)))
    small, large = ipv4(100, dscp=0), ipv4(1000, dscp=1)
    arrivals = [(0, large), (0, small), *[(0, large)] * 4, *[(3 * MS // 2, ipv4(400, dscp=0))] * 4]
    delivered = bench.engine.simulate([(time, 0, frame) for time, frame in arrivals], FOREVER)
    # after its small frame the first queue has 1,000 bytes for its next turn, not 900 more
    assert [len(frame) for _, _, frame in delivered] == [1000, 100, 1000, 400, 400, 1000, 400, 400, 1000, 1000]


def test_an_idle_class_leaves_its_share_to_the_others() -> None:
    bench = Bench()
    bench.configure(2)
    bench.add(Line(8_000_000, 0, 0, (1 << 20,) * 2, (1664, 16640)))
    delivered = bench.engine.simulate([(0, 0, ipv4(1000, dscp=0))] * 5, FOREVER)
    assert [due for due, _, _ in delivered] == [n * MS for n in range(1, 6)]


def test_the_tail_is_dropped_at_the_limit_and_counted_by_class() -> None:
    bench = Bench()
    bench.configure(2)
    bench.add(Line(8_000_000, 0, 0, (2000, 2999), (0, 0)))
    frames = [ipv4(1000, dscp=0)] * 5 + [ipv4(1000, dscp=1)] * 5
    delivered = bench.engine.simulate([(0, 0, frame) for frame in frames], FOREVER)
    # one on the line and two waiting; two waiting, for a third is a byte too much
    assert Counter(frame[15] >> 2 for _, _, frame in delivered) == {0: 3, 1: 2}
    assert bench.class_counts("drop_tail") == [2, 3, 0, 0, 0, 0, 0, 0]


def test_a_line_without_buffer_carries_what_finds_it_free() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000_000, limit=0))
    delivered = bench.engine.simulate([(time, 0, ipv4(1000)) for time in (0, MS - 1, MS, MS + 1)], FOREVER)
    assert [due for due, _, _ in delivered] == [1 * MS, 2 * MS]


def test_settings_change_between_frames() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000_000, delay_ns=10 * MS))
    bench.engine.simulate([(0, 0, ipv4(1000))] * 3, MS // 2)
    bench.change(MS // 2, line=plain_line(rate_bps=80_000_000))
    delivered = bench.engine.simulate([], FOREVER)
    # the first keeps its end and its delay; the others are sent faster but do not overtake it
    assert [due for due, _, _ in delivered] == [11 * MS, 11 * MS, 11 * MS]


def test_what_the_line_began_before_a_change_stays() -> None:
    """Also when nobody looked in between: the second and third frame began 1 and 2 ms after the first."""
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000_000, delay_ns=10 * MS))
    bench.engine.simulate([(0, 0, ipv4(1000))] * 4, 0)
    bench.change(5 * MS // 2, line=plain_line(rate_bps=80_000_000, delay_ns=10 * MS))
    delivered = bench.engine.simulate([], FOREVER)
    assert [due for due, _, _ in delivered] == [11 * MS, 12 * MS, 13 * MS, 13 * MS + MS // 10]


def test_a_new_rate_starts_on_a_whole_nanosecond() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=3_000_000))
    bench.engine.simulate([(0, 0, ipv4(100))] * 2, 0)
    bench.change(1, line=plain_line(rate_bps=1_000_000))
    assert [due for due, _, _ in bench.engine.simulate([], FOREVER)] == [266_667, 266_667 + 800_000]


def test_a_cut_line_loses_all_that_is_in_it_and_starts_afresh() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000, delay_ns=10 * MS))  # a second a frame
    bench.engine.simulate([(0, 0, ipv4(1000))] * 3, MS)
    bench.change(MS, down=True)
    assert bench.engine.simulate([(2 * MS, 0, ipv4(1000))], 3 * MS) == []
    bench.change(3 * MS, line=plain_line(rate_bps=8_000_000, delay_ns=10 * MS), down=False)
    delivered = bench.engine.simulate([(4 * MS, 0, ipv4(1000))], FOREVER)
    assert [due for due, _, _ in delivered] == [(4 + 1 + 10) * MS]
    assert bench.drops() == {"drop_down": 4}


def test_what_was_due_before_a_cut_is_still_delivered() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        bench = Bench(ports=1)
        bench.engine.add_port(near.fileno())
        bench.add(plain_line())
        bench.engine.simulate([(1, 0, ipv4(100))], 0)  # long ago, by the clock
        bench.change(-1, down=True)
        assert far.recv(200, socket.MSG_DONTWAIT) == ipv4(100)


def test_changes_are_made_all_or_none() -> None:
    bench = Bench()
    bench.add(plain_line())
    with pytest.raises(ValueError, match="there is no pipe 7"):
        bench.change(0, 0, 7, down=True)
    assert len(bench.engine.simulate([(0, 0, ipv4(100))], FOREVER)) == 1


def test_lost_frames_take_their_time_on_the_line() -> None:
    bench = Bench()
    bench.add(plain_line(rate_bps=8_000_000, loss=0.5), seed=3)
    delivered = bench.engine.simulate([(0, 0, ipv4(1000))] * 1000, FOREVER)
    assert len(delivered) + bench.drops()["drop_loss"] == 1000
    assert all(due % MS == 0 for due, _, _ in delivered)
    assert len({due for due, _, _ in delivered}) == len(delivered)
    assert 421 <= len(delivered) <= 579  # 500 expected, five standard deviations of 15.8


def test_loss_depends_on_the_seed_alone() -> None:
    def survivors(seed: int) -> list[bytes]:
        bench = Bench()
        bench.add(plain_line(loss=0.5), seed=seed)
        arrivals = [(0, 0, ipv4(100, mark=mark)) for mark in range(64)]
        return [frame for _, _, frame in bench.engine.simulate(arrivals, FOREVER)]

    assert survivors(1) == survivors(1) != survivors(2)


@pytest.mark.parametrize(("loss", "survivors"), [(0.0, 500), (1.0, 0)])
def test_loss_of_none_and_of_all(loss: float, survivors: int) -> None:
    bench = Bench()
    bench.add(plain_line(loss=loss))
    assert len(bench.engine.simulate([(0, 0, ipv4(100))] * 500, FOREVER)) == survivors


def test_quanta_give_the_lightest_a_full_frame() -> None:
    assert quanta([True, False, False], [9, 2, 5]) == [0, FULL_FRAME_BYTES, FULL_FRAME_BYTES * 5 // 2]
    with pytest.raises(ValueError, match="at least 1"):
        quanta([False], [0])
