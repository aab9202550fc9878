"""Any line, any load, any changes: the link engine does to the nanosecond and the frame what the reference does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from backends import VirtualBackend
from checks import accounted_for
from decisions import Told
from experiment import Experiment, Observation, expected
from hypothesis import given
from hypothesis import strategies as st
from loads import SHORTEST
from reference import NS_PER_S, Change, Frame

from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Jitter, Loss, PipeModel, Red, RedCurve
from helsewan.emulation.links.trace import Trace, TracePoint

RATES_BPS = st.integers(1, 20_000_000_000) | st.sampled_from([7, 2_000_000, 10_000_000, 999_999_937])
MS = 1_000_000


@st.composite
def aqms(draw: st.DrawFn) -> Red | CoDel | None:
    """Queue management that leaves nothing to chance: curves that go from never to always."""
    if draw(st.booleans()):
        return draw(st.none() | st.builds(CoDel, st.integers(1, 5_000), st.integers(1, 50_000)))
    steps = draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3))[: draw(st.sampled_from([1, 3]))]
    return Red(tuple(RedCurve(step, step) for step in steps), draw(st.integers(0, 4)))


@st.composite
def models(draw: st.DrawFn) -> PipeModel:
    """Lines of 1 to 4 queues, slow enough to fill and fast enough to run empty, where nothing is left to chance."""
    queues = st.builds(
        ClassQueue,
        limit_bytes=st.none() | st.integers(0, 20_000),
        limit_us=st.none() | st.integers(0, 20_000),
        strict=st.booleans(),
        weight=st.integers(1, 9),
        aqm=aqms(),
    )
    return PipeModel(
        rate_bps=draw(RATES_BPS),
        delay_us=draw(st.integers(0, 10_000)),
        queues=tuple(draw(st.lists(queues, min_size=1, max_size=4))),
        overhead_bytes=draw(st.sampled_from([24, 4, 0, -14])),
        buffer_bytes=draw(st.none() | st.integers(0, 20_000)),
        mtu_bytes=draw(st.none() | st.integers(0, 3_000)),
        loss=draw(st.none() | st.just(Loss.bernoulli(1.0))) if draw(st.booleans()) else None,
    )


@st.composite
def loads(draw: st.DrawFn, rate_bps: int) -> list[Frame]:
    """Frames of all kinds, spaced in the order of what the line needs for one."""
    gap_ns = min(1500 * 8 * NS_PER_S // rate_bps, 1 << 40)
    gaps = st.integers(0, 2 * gap_ns + 2) | st.just(0)
    kinds = st.tuples(gaps, st.integers(SHORTEST, 3000), st.integers(0, 4), st.integers(1, 3), st.integers(0, 2))
    frames, now_ns = [], 0
    for gap, length, queue, precedence, tags in draw(st.lists(kinds, min_size=1, max_size=40)):
        now_ns += gap
        frames.append(Frame(now_ns, length, queue, precedence if queue < 4 else 1, tags))
    return frames


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Up to four points within 10 ms that say something of rate and delay."""
    times = sorted(draw(st.sets(st.integers(0, 10_000), min_size=1, max_size=4)))
    points = tuple(TracePoint(at_us, draw(RATES_BPS), draw(st.integers(0, 10_000))) for at_us in times)
    return Trace(points, draw(st.none() | st.integers(times[-1] + 1, 20_000)))


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """A line that changes a few times under load, looked at somewhere or at the end."""
    model = draw(models())
    frames = draw(loads(model.rate_bps))
    end_ns = frames[-1].time_ns + 20 * MS
    times = sorted(draw(st.lists(st.integers(0, end_ns), max_size=3)))
    states = st.fixed_dictionaries({}, optional={name: st.booleans() for name in ("down", "silent", "frozen")})
    changes = tuple(Change(time_ns, draw(st.just(model) | models()), **draw(states)) for time_ns in times)
    last_ns = max(end_ns, times[-1] if times else 0)
    return Experiment(model, tuple(frames), changes, until_ns=draw(st.none() | st.just(last_ns)))


def agree(experiment: Experiment, seen: Observation, told: Told | None = None) -> None:
    """Deliveries, drops by cause and what is inside are the same."""
    line = expected(experiment, seen, told)
    deliveries = [(one.due_ns, one.number) for one in line.deliveries]
    assert [(one.time_ns, one.number) for one in seen.received] == deliveries
    assert seen.drops == Counter(line.drops.values())
    assert not list(accounted_for(experiment, seen))


@given(experiments(), st.booleans())
def test_engine_and_reference_agree(experiment: Experiment, prompt: bool) -> None:
    """However often the engine looks: at every arrival, or only when it must."""
    agree(experiment, VirtualBackend(prompt).run(experiment))


@given(st.data(), st.booleans())
def test_engine_follows_traces_as_the_reference_does(data: st.DataObject, prompt: bool) -> None:
    """Also one that begins anew, until another takes its place."""
    model = data.draw(models())
    frames = data.draw(loads(model.rate_bps))
    first = Change(data.draw(st.integers(0, 5 * MS)), model, trace=data.draw(traces()))
    second = Change(first.time_ns + data.draw(st.integers(0, 40 * MS)), model, trace=data.draw(traces()))
    third = Change(second.time_ns + data.draw(st.integers(0, 40 * MS)), data.draw(models()))
    experiment = Experiment(model, tuple(frames), (first, second, third))
    agree(experiment, VirtualBackend(prompt).run(experiment))


@given(st.data())
def test_what_follows_from_chance_is_exact(data: st.DataObject) -> None:
    """Told what chance decided of each frame, the reference knows the rest; the order costs no draw."""
    model = PipeModel(
        rate_bps=data.draw(RATES_BPS),
        delay_us=data.draw(st.integers(0, 10_000)),
        jitter=Jitter(data.draw(st.integers(0, 5_000)), reorder=True),
        loss=Loss(*data.draw(st.tuples(*[st.floats(0, 1)] * 4))),
        duplicate=data.draw(st.sampled_from([0.0, 0.3])),
        corrupt=data.draw(st.sampled_from([0.0, 0.3])),
    )
    frames = tuple(data.draw(loads(model.rate_bps)))
    experiment = Experiment(model, frames, seed=data.draw(st.integers(0, 2**64 - 1)))
    seen = VirtualBackend().run(experiment)
    told = overheard(experiment, seen)
    agree(experiment, seen, told)
    assert model.jitter is not None
    in_order = replace(experiment, model=replace(model, jitter=replace(model.jitter, reorder=False)))
    agree(in_order, VirtualBackend().run(in_order), told)


def overheard(experiment: Experiment, seen: Observation) -> Told:
    """What chance decided, as it shows in what came out."""
    counts = Counter(one.number for one in seen.received)
    numbers = range(len(experiment.frames))
    plain = expected(experiment, seen, Told(jitters_ns=dict.fromkeys(numbers, 0)))
    due = {one.number: one.due_ns for one in plain.deliveries}
    return Told(
        losses=frozenset(numbers) - counts.keys(),
        duplicates=frozenset(number for number, count in counts.items() if count > 1),
        corruptions=frozenset(one.number for one in seen.received if one.wrong_bits),
        jitters_ns={one.number: one.time_ns - due[one.number] for one in seen.received},
    )
