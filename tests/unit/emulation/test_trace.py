"""Traces: files and their errors, and links that follow one to the microsecond."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from engine_bench import FOREVER, Bench, ipv4
from hypothesis import example, given
from hypothesis import strategies as st

from helsewan.common.errors import InputError
from helsewan.emulation.links.pipe_model import Loss, PipeModel
from helsewan.emulation.links.trace import MAX_POINTS, MAX_PROBLEMS, Trace, TracePoint, load_trace, parse_trace

US, MS = 1_000, 1_000_000
LINE = PipeModel(rate_bps=8_000_000, delay_us=0, overhead_bytes=0)  # a full frame of 1,000 bytes takes a ms


def follow(bench: Bench, trace: Trace | None, at_ns: int = 0) -> None:
    """Have pipe 0 follow the trace from then on."""
    if trace is None:
        bench.engine.follow_trace([0], None, 0, False, False, False, at_ns)
    else:
        bench.engine.follow_trace([0], trace.packed(), (trace.repeat_us or 0) * 1000, *trace.columns, at_ns)


def due_us(bench: Bench, arrivals_us: list[int], prompt: bool = True) -> list[float]:
    """When frames of 1 ms that arrive then come out."""
    arrivals = [(at_us * US, 0, ipv4(1000, mark=mark)) for mark, at_us in enumerate(arrivals_us)]
    return [due / US for due, _, _ in bench.engine.simulate(arrivals, FOREVER, prompt)]


def rates(*points: tuple[int, int], repeat_us: int | None = None) -> Trace:
    """A trace of rates in Mbit/s."""
    return Trace(tuple(TracePoint(at_us, rate_bps=rate * 1_000_000) for at_us, rate in points), repeat_us)


def test_a_file_is_read_with_its_columns_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "line.csv"
    file.write_text("\ufeff# measured on a Tuesday\nloss, time_ms ,delay_us\n\n0.5,0,100\n1e-3,0.125,200\r\n0,7,0\n")
    assert load_trace(file, repeat_us=7001) == Trace(
        (
            TracePoint(0, None, 100, 0.5),
            TracePoint(125, None, 200, 0.001),
            TracePoint(7000, None, 0, 0.0),
        ),
        repeat_us=7001,
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line.csv: a trace has 1 to"),
        ("time_ms,rate_bps\n", "line.csv: a trace has 1 to"),
        ("0,1\n", "line.csv:1: '0,1' does not name the columns (hint: begin with a line such as time_ms,rate_bps,"),
        ("rate_bps\n5\n", "line.csv:1: 'rate_bps' does not name"),
        ("time_ms\n5\n", "line.csv:1: 'time_ms' does not name"),
        ("time_ms,loss,loss\n", "does not name the columns"),
        ("time_ms,rate\n", "does not name the columns"),
        ("time_ms,loss\n0,0\n\n1\n", "line.csv:4: '1' has 1 values, not 2 (hint: give time_ms, loss)"),
        ("time_ms,loss\n0,0,0\n", "line.csv:2: '0,0,0' has 3 values, not 2"),
        ("time_ms,loss\n0,1.1\n", "line.csv:2: loss: '1.1' is not a probability, 0 to 1"),
        ("time_ms,loss\n0,nan\n", "is not a probability"),
        ("time_ms,loss\n0,\n", "line.csv:2: loss: '' is not a probability"),
        ("time_ms,rate_bps\n0,0\n", "line.csv:2: rate_bps: '0' is not a rate in bit/s"),
        ("time_ms,rate_bps\n0,1.5\n", "is not a rate in bit/s"),
        ("time_ms,rate_bps\n0,10000000000001\n", "is not a rate in bit/s"),
        ("time_ms,delay_us\n0,-1\n", "line.csv:2: delay_us: '-1' is not a delay"),
        ("time_ms,delay_us\n0,3600000001\n", "is not a delay"),
        ("time_ms,loss\n1.0005,0\n", "line.csv:2: time_ms: '1.0005' is not a time"),
        ("time_ms,loss\n-1,0\n", "is not a time"),
        ("time_ms,loss\n1,0\n1,0\n", "line.csv:3: time_ms: '1' is not later than the point before"),
        ("time_ms,loss\n2,0\n1.999,0\n", "line.csv:3: time_ms: '1.999' is not later"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_trace(text.encode(), "line.csv")
    assert complaint in str(caught.value)
    assert len(caught.value.problems) == 1


def test_everything_wrong_is_said_at_once_but_not_without_end() -> None:
    with pytest.raises(InputError) as caught:
        parse_trace(b"time_ms,rate_bps,loss\n0,x,y\n1,x,0\n", "t")
    assert [str(problem).split(" ")[0] for problem in caught.value.problems] == ["t:2:", "t:2:", "t:3:"]
    with pytest.raises(InputError) as caught:
        parse_trace(b"time_ms,loss\n" + b"x,y\n" * 1000, "t")
    assert len(caught.value.problems) == MAX_PROBLEMS


def test_a_file_is_bounded_and_text(tmp_path: Path) -> None:
    many = b"time_ms,loss\n" + b"".join(b"%d,0\n" % number for number in range(MAX_POINTS + 1))
    with pytest.raises(InputError, match=f"1 to {MAX_POINTS} points"):
        parse_trace(many, "t")
    with pytest.raises(InputError, match="t:2: is not UTF-8"):
        parse_trace(b"time_ms,loss\n0,\xff\n", "t")
    with pytest.raises(InputError, match="no such file"):
        load_trace(tmp_path / "missing.csv")
    large = tmp_path / "large.csv"
    large.write_bytes(b"#" * 16_000_001)
    with pytest.raises(InputError, match="larger than"):
        load_trace(large)


@given(st.binary(max_size=200) | st.text(alphabet="time_ms,losrate_bpdelay_us0123456789.\n#", max_size=80))
def test_any_bytes_are_a_trace_or_an_input_error(raw: bytes | str) -> None:
    try:
        parse_trace(raw if isinstance(raw, bytes) else raw.encode(), "t")
    except InputError as error:
        assert all(problem.where.startswith("t") for problem in error.problems)


@pytest.mark.parametrize(
    ("points", "repeat_us", "message"),
    [
        ((), None, "1 to"),
        ((TracePoint(0),), None, "at least one"),
        ((TracePoint(0, rate_bps=1), TracePoint(1, loss=0.1)), None, "the same"),
        ((TracePoint(1, loss=0.1), TracePoint(1, loss=0.1)), None, "in order"),
        ((TracePoint(5, loss=0.1),), 5, "restart every 5"),
    ],
)
def test_what_is_no_trace(points: tuple[TracePoint, ...], repeat_us: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trace(points, repeat_us)


def test_a_line_follows_its_rate_to_the_microsecond() -> None:
    """A frame is sent at the rate that holds when it begins: at 3,000 us the rate is still the old one for the frame
    whose turn it is at that moment, as for any change."""
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((0, 8), (2_500, 16), (3_000, 80)))
    assert due_us(bench, [0] * 6) == [1000, 2000, 3000, 3500, 3600, 3700]


def test_before_the_first_point_the_model_holds_and_after_the_last_that_one() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((10_000, 80)), at_ns=5 * MS)
    assert due_us(bench, [0, 14_999, 15_000, 1_000_000]) == [1000, 15_999, 16_099, 1_000_100]


def test_a_frame_that_finds_the_line_free_at_a_point_is_sent_by_it() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((5_000, 80)))
    assert due_us(bench, [5_000]) == [5_100]


def test_a_trace_begins_anew_as_often_as_it_takes() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((0, 8), (10_000, 80), repeat_us=20_000))
    hours_us = 3_600_000_000
    arrivals = [0, 12_000, 20_000, 39_000, hours_us, hours_us + 15_000]
    assert due_us(bench, arrivals) == [1000, 12_100, 21_000, 39_100, hours_us + 1000, hours_us + 15_100]


def test_before_its_first_point_a_new_round_goes_on_as_the_last_ended() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((5_000, 80), (7_000, 16), repeat_us=10_000))
    assert due_us(bench, [0, 6_000, 12_000, 15_500]) == [1000, 6_100, 12_500, 15_600]


def test_delay_and_loss_are_followed_and_what_is_not_said_stays() -> None:
    bench = Bench()
    bench.lay(replace(LINE, loss=Loss(0.3, 0.3)))
    points = (TracePoint(0, delay_us=5_000, loss=0.0), TracePoint(10_000, delay_us=1_000, loss=1.0))
    follow(bench, Trace((*points, TracePoint(20_000, delay_us=2_000, loss=0.0))))
    assert due_us(bench, [0, 9_500, 12_000, 25_000]) == [6000, 15_500, 28_000]


def test_a_model_that_is_set_holds_until_the_next_point() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((0, 16), (20_000, 80)))
    assert due_us(bench, [1_000]) == [1_500]
    bench.change(5 * MS, model=LINE)
    assert due_us(bench, [10_000, 20_000]) == [11_000, 20_100]


def test_without_a_trace_the_last_values_stay() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((0, 16), (5_000, 80)))
    follow(bench, None, at_ns=3 * MS)
    assert due_us(bench, [10_000]) == [10_500]


def test_a_trace_stands_still_with_its_line() -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((0, 8), (10_000, 80)))
    bench.change(5 * MS, paused=True)
    bench.change(55 * MS, paused=False)
    assert due_us(bench, [56_000, 60_000]) == [57_000, 60_100]


@given(
    st.lists(st.tuples(st.integers(1, 3_000), st.sampled_from([2, 8, 33])), min_size=1, max_size=20),
    st.lists(st.integers(0, 40_000), min_size=1, max_size=30),
    st.none() | st.integers(1, 500),
)
@example([(1, 33), (1, 2), (1, 33), (997, 2), (1, 33)], [0, 0, 0], None)  # two points while one frame is sent
def test_following_equals_changing_at_each_point(
    steps: list[tuple[int, int]], arrivals: list[int], rest_us: int | None
) -> None:
    """Whether it is looked at all the time or only at the end; also when the trace restarts."""
    at_us, points = 0, []
    for step_us, rate in steps:
        at_us += step_us
        points.append((at_us, rate))
    repeat_us = None if rest_us is None else at_us + rest_us
    expected = Bench()
    expected.lay(LINE)
    frames = [(time * US, 0, ipv4(1000, mark=mark)) for mark, time in enumerate(sorted(arrivals))]
    last_us, rounds, delivered = 0, 0, []
    while last_us <= 200_000 and rounds < (1 if repeat_us is None else 1 << 30):
        for time_us, rate in points:
            last_us = time_us + rounds * (repeat_us or 0)
            before = [frame for frame in frames if frame[0] < last_us * US]
            frames = frames[len(before) :]
            delivered += expected.engine.simulate(before, last_us * US)
            for rate_bps in (1, rate * 1_000_000):  # each point sets the rate anew, also to what it is
                expected.change(last_us * US, model=replace(LINE, rate_bps=rate_bps))
        rounds += 1
    delivered += expected.engine.simulate(frames, FOREVER)
    for prompt in (True, False):
        bench = Bench()
        bench.lay(LINE)
        follow(bench, rates(*points, repeat_us=repeat_us))
        assert due_us(bench, sorted(arrivals), prompt) == [due / US for due, _, _ in delivered]


@pytest.mark.parametrize(
    ("trace", "repeat_ns", "message"),
    [
        (b"", 0, "whole points"),
        (rates((0, 1)).packed()[1:], 0, "whole points"),
        (rates((0, 1)).packed() + rates((0, 1)).packed(), 0, "point 1 is not later"),
        (rates((5, 1)).packed(), 4_000, "restarts before"),
        (Trace((TracePoint(0, rate_bps=0),)).packed(), 0, "rate_bps 0"),
        (Trace((TracePoint(0, delay_us=-1),)).packed(), 0, "delay_ns -1000"),
        (Trace((TracePoint(0, loss=1.5),)).packed(), 0, "not a probability"),
        (Trace((TracePoint(0, loss=float("nan")),)).packed(), 0, "not a probability"),
        (Trace((TracePoint(-1, loss=0.5),)).packed(), 0, "point 0 is not later"),
        (Trace((TracePoint(10**14, loss=0.5),)).packed(), 0, "at_ns"),
    ],
)
def test_an_impossible_trace_is_refused_and_the_old_one_followed_on(trace: bytes, repeat_ns: int, message: str) -> None:
    bench = Bench()
    bench.lay(LINE)
    follow(bench, rates((0, 80)))
    with pytest.raises(ValueError, match=message):
        bench.engine.follow_trace([0], trace, repeat_ns, True, True, True, 0)
    with pytest.raises(ValueError, match="there is no pipe 1"):
        bench.engine.follow_trace([0, 1], rates((0, 8)).packed(), 0, True, False, False, 0)
    assert due_us(bench, [0]) == [100]
