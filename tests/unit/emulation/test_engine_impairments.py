"""Impairments of frames in transit: loss, duplicates, bit errors, jitter. Random numbers have fixed seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from engine_bench import FOREVER, Bench, ipv4, mark_of
from scipy import stats

from helsewan.emulation.links.pipe_model import Distribution, Jitter, Loss, PipeModel

US, MS = 1_000, 1_000_000
PLAIN = PipeModel(rate_bps=1_000_000_000, delay_us=20_000, overhead_bytes=0)
MANY = 20_000
LEAST_P = 0.01  # of a chi-square or Kolmogorov-Smirnov test


def fates(model: PipeModel, count: int = MANY, seed: int = 7) -> list[int]:
    """How many copies came of each frame, one every 10 us."""
    bench = Bench()
    bench.lay(model, seed)
    delivered = bench.run([(number * 10 * US, ipv4(100, mark=number)) for number in range(count)])
    copies = Counter(mark_of(frame) for _, frame in delivered)
    return [copies[number] for number in range(count)]


def delays_us(model: PipeModel, count: int = MANY) -> list[float]:
    """How long each frame took beyond its transmission, 0.8 us, in order of sending; one every ms."""
    bench = Bench()
    bench.lay(model, seed=7)
    delivered = bench.run([(number * MS, ipv4(100, mark=number)) for number in range(count)])
    due = {mark_of(frame): time for time, frame in delivered}
    return [(due[number] - number * MS - 800) / US for number in range(count)]


def test_losses_of_a_two_state_line_come_as_often_and_in_such_bursts_as_the_model_says() -> None:
    """Bursts of the simple Gilbert line are geometric of mean 1/r, and so are the gaps, of mean 1/p."""
    loss = Loss(p=0.02, r=0.25)
    lost = [copies == 0 for copies in fates(replace(PLAIN, loss=loss))]
    edges = np.flatnonzero(np.diff(np.array([False, *lost, False], dtype=int)))
    bursts = edges[1::2] - edges[::2]
    cells = [int((bursts == length).sum()) for length in range(1, 8)] + [int((bursts >= 8).sum())]
    expected = [len(bursts) * loss.r * (1 - loss.r) ** (length - 1) for length in range(1, 8)]
    expected.append(len(bursts) * (1 - loss.r) ** 7)
    assert stats.chisquare(cells, expected).pvalue > LEAST_P
    # successive fates are correlated: the variance of the mean is (1 + c) / (1 - c) that of independent ones
    correlation = 1 - loss.p - loss.r
    deviation = (loss.mean * (1 - loss.mean) / MANY * (1 + correlation) / (1 - correlation)) ** 0.5
    assert abs(np.mean(lost) - loss.mean) < 3 * deviation


def test_the_first_frame_finds_the_line_good_and_each_turns_it_after_its_own_fate() -> None:
    always = Loss(p=1.0, r=1.0, good=0.0, bad=1.0)
    assert fates(replace(PLAIN, loss=always), 6) == [1, 0, 1, 0, 1, 0]


def test_a_new_loss_model_finds_the_line_good() -> None:
    bench = Bench()
    stays_bad = replace(PLAIN, loss=Loss(p=1.0, r=0.0))
    bench.lay(stays_bad)
    arrivals = [(number * MS, ipv4(100)) for number in range(4)]
    assert len(bench.run(arrivals)) == 1
    bench.change(10 * MS, model=replace(stays_bad, loss=Loss(p=0.5, r=0.0, good=0.0)))
    bench.change(10 * MS, model=stays_bad)
    assert len(bench.run([(time + 11 * MS, frame) for time, frame in arrivals])) == 1


def test_duplicates_follow_their_originals_without_time_on_the_line() -> None:
    bench = Bench()
    bench.lay(replace(PLAIN, duplicate=0.3, jitter=Jitter(500)), seed=5)
    delivered = bench.run([(0, ipv4(100, mark=number)) for number in range(3000)])
    copies = Counter(mark_of(frame) for _, frame in delivered)
    doubled = sum(count == 2 for count in copies.values())
    assert len(copies) == 3000 and set(copies.values()) == {1, 2}
    assert bench.counters.pipes[0]["duplicated"] == doubled
    assert stats.binomtest(doubled, 3000, 0.3).pvalue > LEAST_P
    times: dict[int, set[int]] = {}
    for due, frame in delivered:
        times.setdefault(mark_of(frame), set()).add(due)
    assert all(len(due) == 1 for due in times.values())
    marks = [mark_of(frame) for _, frame in delivered]
    assert marks == sorted(marks)
    bench.change(100 * MS, model=replace(PLAIN, duplicate=1.0, rate_bps=8_000_000, delay_us=0))
    twice = bench.run([(200 * MS, ipv4(1000)), (200 * MS, ipv4(1000))])
    assert [due // MS for due, _ in twice] == [201, 201, 202, 202]


def test_corruption_flips_one_bit_anywhere_and_never_the_trunks_tag() -> None:
    bench = Bench()
    sent = bytes(14) + bytes(6)
    rows = [[None, None, 0, None, None]]
    row = (10**9, 0, 0, 0, None, None, None, None, 0.0, 1.0)
    bench.engine.add_pipes([rows], [(0, 0, 1, 77, 3, row)])
    flipped = Counter[int]()
    for _, frame in bench.run([(0, sent)] * 16_000):
        assert frame[12:16] == b"\x81\x00\x00\x4d"
        wrong = int.from_bytes(frame[:12] + frame[16:], "big")
        assert wrong.bit_count() == 1
        flipped[wrong.bit_length()] += 1
    assert len(flipped) == 160
    assert stats.chisquare(list(flipped.values())).pvalue > LEAST_P
    assert bench.counters.pipes[0]["corrupted"] == 16_000


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        (Distribution.UNIFORM, stats.uniform(-1000, 2000)),
        (Distribution.NORMAL, stats.norm(0, 1000)),
        # Pareto of shape 3: mean 3/2, variance 3/4
        (Distribution.PARETO, stats.pareto(3, loc=-1.5e3 / 0.75**0.5, scale=1e3 / 0.75**0.5)),
    ],
)
def test_jitter_follows_its_distribution(distribution: Distribution, law: stats.rv_continuous) -> None:
    """Up to where draws end, at four standard deviations."""
    drawn = np.array(delays_us(replace(PLAIN, jitter=Jitter(1000, distribution, reorder=True)))) - PLAIN.delay_us
    assert drawn.max() <= 4000
    below = drawn[drawn < 4000]
    assert stats.binomtest(len(below), MANY, law.cdf(4000)).pvalue > LEAST_P
    assert stats.kstest(below, lambda x: law.cdf(x) / law.cdf(4000)).pvalue > LEAST_P


def test_a_jittered_delay_never_falls_below_zero() -> None:
    drawn = delays_us(replace(PLAIN, delay_us=100, jitter=Jitter(400, reorder=True)), 1000)
    assert min(drawn) == 0 and max(drawn) > 400


def test_frames_keep_their_order_under_jitter_unless_told_not_to() -> None:
    """With the same seed both draw the same delays; in order, a frame waits for the one before it."""
    arrivals = [(number * 10 * US, ipv4(100, mark=number)) for number in range(5000)]
    free, kept = Bench(), Bench()
    free.lay(replace(PLAIN, jitter=Jitter(2000, reorder=True)), seed=9)
    kept.lay(replace(PLAIN, jitter=Jitter(2000)), seed=9)
    drawn, held = free.run(arrivals), kept.run(arrivals)
    assert [due for due, _ in drawn] == sorted(due for due, _ in drawn)
    by_mark = sorted((mark_of(frame), due) for due, frame in drawn)
    assert [mark for mark, _ in by_mark] == list(range(5000)) != [mark_of(frame) for _, frame in drawn]
    latest = np.maximum.accumulate([due for _, due in by_mark])
    assert held == [(int(due), arrivals[mark][1]) for mark, due in enumerate(latest)]


@pytest.mark.parametrize("reorder", [False, True])
def test_chance_does_not_depend_on_how_often_the_engine_looks(reorder: bool) -> None:
    model = PipeModel(
        rate_bps=3_000_000,
        delay_us=4_000,
        jitter=Jitter(3_000, Distribution.NORMAL, reorder),
        loss=Loss(p=0.1, r=0.4, good=0.05, bad=0.6),
        duplicate=0.2,
        corrupt=0.2,
    )

    def outcome(prompt: bool) -> list[tuple[int, int, bytes]]:
        bench = Bench()
        bench.lay(model, seed=11)
        arrivals = [(number * 200 * US, 0, ipv4(60 + number % 90, mark=number)) for number in range(400)]
        return bench.engine.simulate(arrivals, FOREVER, prompt)

    assert outcome(prompt=True) == outcome(prompt=False)


@pytest.mark.parametrize(("overhead_bytes", "nanoseconds"), [(24, 992), (4, 832), (-14, 688)])
def test_overhead_counts_per_frame_down_to_layer_3(overhead_bytes: int, nanoseconds: int) -> None:
    bench = Bench()
    bench.lay(replace(PLAIN, delay_us=0, overhead_bytes=overhead_bytes))
    assert [due for due, _ in bench.run([(0, ipv4(100))])] == [nanoseconds]


def test_a_frame_that_takes_no_time_passes_at_once() -> None:
    bench = Bench()
    bench.lay(replace(PLAIN, delay_us=0, overhead_bytes=-14))
    assert [due for due, _ in bench.run([(5, bytes(14))] * 3)] == [5, 5, 5]
