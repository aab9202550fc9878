"""Arrival processes by their statistics, each with fixed seeds; calls against Erlang's formula.

Bounds are about four standard deviations of the estimate, so that they tell a wrong process from chance.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from helsewan.lab.flows.records import Array
from helsewan.scenarios.spec.traffic.arrivals import ArrivalSpec, CallsSpec
from helsewan.scenarios.traffic.schedules.arrivals import Warp, arrival_times
from helsewan.scenarios.traffic.schedules.calls import PlannedCalls, plan_calls

SECOND = 1_000_000.0  # us
ON_OFF = {"active": "2 s", "idle": "6 s"}


def spec(process: str, **changes: Any) -> ArrivalSpec:
    return ArrivalSpec.model_validate({"process": process, **changes})


def times(process: str, every: float, length: float, seed: int = 1, **changes: Any) -> Array:
    return arrival_times(spec(process, **changes), every, length, np.random.default_rng(seed))


def dispersion(arrivals: Array, length: float, window: float) -> float:
    """Variance over mean of the counts in windows: 1 for Poisson, 0 for even spacing, more for bursts."""
    counts = np.histogram(arrivals, np.arange(0, length + window / 2, window))[0]
    return float(counts.var() / counts.mean())


def test_constant_arrivals_are_evenly_spaced() -> None:
    found = times("constant", 500, 100_000)
    assert len(found) == 200 and 0 <= found[0] < 500
    assert np.allclose(np.diff(found), 500)


def test_poisson_arrivals_are_independent() -> None:
    found = times("poisson", 1_000, 1e8)
    assert abs(len(found) - 100_000) < 4 * sqrt(100_000)
    assert stats.kstest(np.diff(found) / 1_000, "expon").pvalue > 0.01
    assert dispersion(found, 1e8, 20_000) == pytest.approx(1, abs=4 * sqrt(2 / 5_000))


@pytest.mark.parametrize("process", ["pareto-on-off", "lognormal-on-off"])
def test_on_off_arrivals_keep_the_mean_rate_in_bursts(process: str) -> None:
    """Means over 40 seeds, as one run of so long periods varies much; a quarter of the time is on, at four times the
    rate."""
    tail = {"alpha": 2.5} if process.startswith("pareto") else {"sigma": 1.0}
    runs = [times(process, 50_000, 400 * SECOND, seed, **ON_OFF, **tail) for seed in range(40)]
    counts = np.array([len(run) for run in runs])
    assert counts.mean() == pytest.approx(8_000, abs=4 * counts.std() / sqrt(len(runs)))
    gaps = np.concatenate([np.diff(run) for run in runs])
    assert np.median(gaps) == pytest.approx(12_500), "within on periods"
    off = gaps[gaps > 100_000]
    assert off.mean() == pytest.approx(6 * SECOND, rel=0.1)
    assert np.mean([dispersion(run, 400 * SECOND, SECOND) for run in runs]) > 10


def test_on_off_arrivals_begin_anywhere_in_a_period() -> None:
    """The first second holds as many as any other: the begin is not that of an on period."""
    first = [np.sum(times("lognormal-on-off", 50_000, 20 * SECOND, seed, **ON_OFF) < SECOND) for seed in range(400)]
    assert np.mean(first) == pytest.approx(20, abs=4 * np.std(first) / sqrt(len(first)))


def test_pareto_periods_have_a_heavy_tail() -> None:
    """Off periods of index 1.5 with a mean of 1: P(L > l) = (1/3 / l) ** 1.5."""
    found = times("pareto-on-off", 100, 3e6, active="1 ms", idle="1 ms", alpha=1.5)
    off = np.diff(found)
    off = off[off > 100] - 50  # less what is left of both on periods, half a spacing each on average
    share = np.mean(off > 10_000)
    count = len(off)
    expected = (333.3 / 10_000) ** 1.5 / (333.3 / 333.3) ** 1.5
    assert share == pytest.approx(expected, abs=4 * sqrt(expected / count) + 0.001)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    for process in ("constant", "poisson"):
        assert np.array_equal(times(process, 500, 1e6, 3), times(process, 500, 1e6, 3))
    assert not np.array_equal(times("poisson", 500, 1e6, 3), times("poisson", 500, 1e6, 4))


# --- shapes -----------------------------------------------------------------------------------------


def shape(points: dict[str, str]) -> Any:
    return CallsSpec.model_validate({"every": "1 s", "holding": "1 s", "shape": points}).shape


def test_a_shape_sets_the_rate_at_every_moment() -> None:
    """From 20 % to 100 % over 10 s, level until 20 s, 50 % from 30 s on: counts in each second are its integral's."""
    warp = Warp(shape({"0 s": "20 %", "10 s": "100 %", "20 s": "100 %", "30 s": "50 %"}), 40_000_000)
    assert warp.length == pytest.approx((0.6 * 10 + 10 + 0.75 * 10 + 0.5 * 10) * SECOND)
    found = warp.shaped(times("poisson", 100, warp.length))
    counts = np.histogram(found, np.arange(41) * SECOND)[0]
    middles = np.arange(40) + 0.5
    expected = 10_000 * np.interp(middles, [0, 10, 20, 30], [0.2, 1, 1, 0.5])
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected)).all()
    assert found.min() >= 0 and found.max() < 40 * SECOND and (np.diff(found) >= 0).all()


def test_constant_arrivals_under_a_shape_are_spaced_by_its_rate() -> None:
    warp = Warp(shape({"0 s": "50 %"}), 10_000_000)
    assert np.allclose(np.diff(warp.shaped(times("constant", 1_000, warp.length))), 2_000)


def test_nothing_falls_where_a_shape_is_zero() -> None:
    warp = Warp(shape({"2 s": "0 %", "4 s": "0 %", "5 s": "100 %"}), 10_000_000)
    found = warp.shaped(times("poisson", 1_000, warp.length))
    assert found.min() >= 3.9 * SECOND
    assert (warp.shaped(np.array([-1.0])) < 0).all()


# --- calls ------------------------------------------------------------------------------------------


def erlang_b(lines: int, offered: float) -> float:
    """The share of calls that find all lines busy (Erlang's loss formula, by its recursion)."""
    blocking = 1.0
    for number in range(1, lines + 1):
        blocking = offered * blocking / (number + offered * blocking)
    return blocking


def busy(planned: PlannedCalls, at_us: float) -> int:
    return sum(call.start_us <= at_us < call.stop_us for call in planned.calls)


@pytest.mark.parametrize(
    "holding",
    [{"mean": "20 s"}, {"mean": "20 s", "distribution": "lognormal", "sigma": 1.2},
     {"mean": "20 s", "distribution": "constant"}],
)  # fmt: skip
def test_lines_in_use_and_blocking_follow_erlang(holding: dict[str, object]) -> None:
    """10 Erlang on 12 lines, whatever the distribution of holding times (M/G/n/n is insensitive to it)."""
    asked = CallsSpec.model_validate({"every": "2 s", "holding": holding})
    hour = 4 * 3600 * 1_000_000
    runs = [plan_calls(asked, 12, hour, np.random.default_rng(seed)) for seed in range(4)]
    carried = np.array([sum(c.stop_us - c.start_us for c in run.calls) / hour for run in runs])
    blocking = erlang_b(12, 10)
    assert carried.mean() == pytest.approx(10 * (1 - blocking), rel=0.03)
    begun = [sum(call.start_us > 0 for call in run.calls) for run in runs]
    shares = [run.blocked / (run.blocked + count) for run, count in zip(runs, begun, strict=True)]
    assert np.mean(shares) == pytest.approx(blocking, abs=0.015)
    assert max(busy(run, at) for run in runs for at in range(0, hour, hour // 500)) <= 12


def test_a_line_carries_one_call_at_a_time() -> None:
    asked = CallsSpec.model_validate({"every": "100 ms", "holding": "2 s"})
    planned = plan_calls(asked, 15, 60_000_000, np.random.default_rng(2))
    assert planned.blocked > 0
    last: dict[int, int] = {}
    for call in sorted(planned.calls, key=lambda each: each.start_us):
        assert 0 <= call.start_us < call.stop_us <= 60_000_000
        assert last.get(call.line, 0) <= call.start_us
        last[call.line] = call.stop_us
    assert set(last) == set(range(15))


def test_the_run_begins_with_as_many_calls_as_later() -> None:
    """5 Erlang: the mean over 300 seeds at the begin, and at the end."""
    asked = CallsSpec.model_validate({"every": "6 s", "holding": "30 s"})
    runs = [plan_calls(asked, 50, 10_000_000, np.random.default_rng(seed)) for seed in range(300)]
    for at_us in (0, 9_999_999):
        assert np.mean([busy(run, at_us) for run in runs]) == pytest.approx(5, abs=4 * sqrt(5 / 300))


def test_calls_that_follow_a_shape_come_when_it_says() -> None:
    """No calls before the first half is over: a shape that begins with 0 % has none under way either."""
    points = {"0 s": "0 %", "30 s": "0 %", "31 s": "100 %"}
    asked = CallsSpec.model_validate({"every": "50 ms", "holding": "1 s", "shape": points})
    planned = plan_calls(asked, 100, 60_000_000, np.random.default_rng(5))
    assert min(call.start_us for call in planned.calls) >= 30_000_000
    assert len(planned.calls) == pytest.approx(590, abs=4 * sqrt(590))
