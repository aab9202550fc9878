"""The conformance table: what is offered to a line of which kind, and what must hold, for every backend alike.

Where a tolerance is not exactness it is derived beside the check (``checks.py``) or the case; what a backend's clock
adds is its ``Precision`` (``backends.py``). Loads are short: the live backends play all of this in real time.

Sizes: a frame of 1,514 bytes is 1,538 with layer 1's overhead, which takes 6.152 ms at 2 Mbit/s, 1.2304 ms at
10 Mbit/s, 123.04 us at 100 Mbit/s and 12.304 us at 1 Gbit/s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import checks
from checks import Check
from experiment import Experiment, Feature
from loads import SHORTEST, steady, together
from reference import Change, Frame

from helsewan.emulation.links.pipe_model import (
    LAYER1_OVERHEAD_BYTES,
    LAYER2_OVERHEAD_BYTES,
    LAYER3_OVERHEAD_BYTES,
    ClassQueue,
    CoDel,
    Distribution,
    Jitter,
    Loss,
    PipeModel,
    Red,
    RedCurve,
)
from helsewan.emulation.links.trace import Trace, TracePoint

US, MS = 1_000, 1_000_000
FULL = 1514
MBIT, GBIT = 1_000_000, 1_000_000_000


@dataclass(frozen=True)
class Case:
    """One line of the table. ``needs``: what a backend may lack (``backends.py`` says which does, and why)."""

    name: str
    experiment: Experiment
    checks: tuple[Check, ...]
    needs: frozenset[Feature] = frozenset()


def case(
    name: str,
    model: PipeModel,
    frames: list[Frame],
    *what: Check,
    changes: tuple[Change, ...] = (),
    needs: frozenset[Feature] = frozenset(),
    seed: int = 1,
) -> Case:
    """A case; whatever else is checked, each backend accounts for every frame (``test_table.py``)."""
    return Case(name, Experiment(model, tuple(frames), changes, seed), what, needs)


def backlog(model: PipeModel, count: int, length: int = FULL, load_percent: int = 200) -> list[Frame]:
    """Frames that come faster than the line sends them."""
    gap_ns = (length + model.overhead_bytes) * 8 * 1_000_000_000 * 100 // (model.rate_bps * load_percent)
    return steady(count, gap_ns, length)


def rates() -> list[Case]:
    """Rate, overhead and delay. A rate is measured over 60 ms at least, so that 1 % is 0.6 ms: six times what a
    live backend's clock may be off."""
    result = []
    for rate_bps, count in ((2 * MBIT, 60), (10 * MBIT, 150), (100 * MBIT, 1_000)):
        model = PipeModel(rate_bps, delay_us=1_000)
        result.append(case(f"rate-{rate_bps // MBIT}M", model, backlog(model, count), checks.schedule, checks.rate))
    # nobody can be asked to offer 1 Gbit/s to a live line: it is slow until they all wait
    slow, fast = PipeModel(2 * MBIT, delay_us=1_000), PipeModel(GBIT, delay_us=1_000)
    load = steady(10_000, 30 * US, FULL)
    result.append(case("rate-1000M", slow, load, checks.schedule, checks.rate, changes=(Change(320 * MS, fast),)))
    model = PipeModel(10 * GBIT, delay_us=1_000)
    needs = frozenset({Feature.RATE_10G})
    result.append(case("rate-10G", model, backlog(model, 2_000), checks.schedule, checks.rate, needs=needs))
    for layer, overhead_bytes in enumerate((LAYER1_OVERHEAD_BYTES, LAYER2_OVERHEAD_BYTES, LAYER3_OVERHEAD_BYTES), 1):
        # the shortest frames, of which the overhead is the largest part: 84, 64 or 46 bytes on the line
        model = PipeModel(5 * MBIT, delay_us=1_000, overhead_bytes=overhead_bytes)
        frames = backlog(model, 1_200, SHORTEST)
        result.append(case(f"overhead-layer{layer}", model, frames, checks.schedule, checks.rate))
    for delay_us in (0, 5_000, 40_000):
        frames = steady(200, 1_300 * US, FULL)
        result.append(case(f"delay-{delay_us // 1_000}ms", PipeModel(100 * MBIT, delay_us), frames, checks.schedule))
    return result


def variations() -> list[Case]:
    """Jitter, judged over 3,000 frames: at 1 % Kolmogorov and Smirnov tell distributions apart that differ by 0.03.
    With a spread of 4 ms, what a live backend's clock adds (0.1 ms) moves the steepest of them, Pareto's, by less."""
    result = []
    for distribution in Distribution:
        jitter = Jitter(4_000, distribution, reorder=True)
        model = PipeModel(GBIT, delay_us=20_000, jitter=jitter)
        frames = steady(3_000, 100 * US, 200)
        name = f"jitter-{distribution.value}"
        result.append(case(name, model, frames, checks.jitter, checks.out_of_order, checks.everything_arrives))
    model = PipeModel(GBIT, delay_us=20_000, jitter=Jitter(4_000))
    frames = steady(1_000, 100 * US, 200)
    needs = frozenset({Feature.JITTER_ORDER})
    result.append(case("jitter-in-order", model, frames, checks.in_order, checks.everything_arrives, needs=needs))
    return result


def chances() -> list[Case]:
    """Loss, duplication, corruption: tests at 1 %. Seeds are fixed; a backend without a seed of its own is judged
    again when it was refused, so that a sound one fails once in 10,000 runs."""
    frames = steady(8_000, 40 * US, 100)
    losses = {
        "bernoulli-1%": Loss.bernoulli(0.01),
        "bernoulli-20%": Loss.bernoulli(0.2),
        "gilbert-elliott": Loss(p=0.05, r=0.3, good=0.01, bad=0.7),
        "correlated": Loss.correlated(0.1, 0.5),
    }
    result = [
        case(f"loss-{name}", PipeModel(GBIT, 1_000, loss=loss), frames, checks.losses, checks.schedule_of_survivors)
        for name, loss in losses.items()
    ]
    gilbert = PipeModel(GBIT, 1_000, loss=Loss(p=0.05, r=0.25))
    result.append(case("loss-bursts", gilbert, frames, checks.losses, checks.bursts))
    twice = PipeModel(GBIT, 1_000, duplicate=0.05)
    result.append(case("duplicates", twice, frames[:4_000], checks.duplicates, checks.schedule))
    wrong = PipeModel(GBIT, 1_000, corrupt=0.05)
    result.append(case("corruption", wrong, frames[:4_000], checks.corruptions, checks.schedule))
    return result


def queues() -> list[Case]:
    """Class queues and limits. Bursts are at 1 Mbit/s, where a full frame takes 12 ms: a live backend offers a whole
    burst within the first one."""
    voice = steady(40, 10 * MS, 218, queue=0)
    classes = (ClassQueue(), ClassQueue(strict=False, weight=3), ClassQueue(strict=False, weight=1))
    strict = PipeModel(2 * MBIT, 1_000, classes)
    # lower classes fill the line twice
    data = together(steady(70, 6 * MS, FULL, queue=1), steady(70, 6 * MS, FULL, queue=2))
    result = [case("strict-priority", strict, together(voice, data), checks.schedule_in_turns, checks.one_frame_more)]

    weighted = PipeModel(20 * MBIT, 0, tuple(ClassQueue(strict=False, weight=weight) for weight in (5, 3, 2)))
    for name, lengths in (("equal", (FULL, FULL, FULL)), ("unlike", (FULL, 600, 200))):
        loads = [  # 30 Mbit/s each
            steady(150 * FULL // length, 400 * US * length // FULL, length, queue)
            for queue, length in enumerate(lengths)
        ]
        what = (checks.schedule_in_turns, checks.shares_by_weight)
        result.append(case(f"drr-{name}-frames", weighted, together(*loads), *what))

    # ten full frames wait, and one is on the line
    burst = steady(15, 0, FULL)
    bytes_limit = PipeModel(MBIT, 1_000, (ClassQueue(limit_bytes=10 * FULL),))
    result.append(case("limit-bytes", bytes_limit, burst, checks.schedule, checks.survivors(0, 11)))
    # 100 ms hold eight full frames of 12.304 ms
    time_limit = PipeModel(MBIT, 1_000, (ClassQueue(limit_us=100_000),))
    result.append(case("limit-time", time_limit, burst, checks.schedule, checks.survivors(0, 9)))
    # the first queue takes eight of ten places, so that the second gets two
    shared = PipeModel(MBIT, 1_000, (ClassQueue(limit_bytes=8 * FULL), ClassQueue()), buffer_bytes=10 * FULL)
    load = together(burst[:10], steady(5, 0, FULL, queue=1))
    kept = (checks.survivors(0, 9), checks.survivors(1, 2))
    result.append(case("buffer-shared", shared, load, checks.schedule, *kept, needs=frozenset({Feature.BUFFER})))

    longest = [Frame(number * 2 * MS, FULL - 3 + number % 6) for number in range(60)]
    mtu = PipeModel(100 * MBIT, 1_000, mtu_bytes=1500)
    result.append(case("mtu", mtu, longest, checks.schedule, checks.survivors(0, 40)))
    tagged = [replace(frame, tags=1, length=frame.length + 4) for frame in longest]
    tagged += [replace(frame, tags=2, length=frame.length + 8, time_ns=frame.time_ns + 120 * MS) for frame in longest]
    needs = frozenset({Feature.TAGS})
    result.append(case("mtu-tagged", mtu, tagged, checks.schedule, checks.survivors(0, 80), needs=needs))
    return result


def active() -> list[Case]:
    """Active queue management, under a load of a tenth more than the line carries."""
    curve = RedCurve(min_bytes=5_000, max_bytes=60_000, most=0.3)
    red = PipeModel(100 * MBIT, 1_000, (ClassQueue(aqm=Red((curve,), weight_shift=5)),))
    result = [case("red", red, backlog(red, 3_000, load_percent=110), checks.early_drops)]

    curves = tuple(
        RedCurve(min_bytes, 90_000, most) for min_bytes, most in ((40_000, 0.1), (20_000, 0.2), (5_000, 0.4))
    )
    wred = PipeModel(100 * MBIT, 1_000, (ClassQueue(aqm=Red(curves, weight_shift=5)),))
    mixed = [
        replace(frame, precedence=1 + number % 3) for number, frame in enumerate(backlog(wred, 4_500, load_percent=110))
    ]
    result.append(case("wred", wred, mixed, checks.early_drops, needs=frozenset({Feature.WRED})))

    codel = PipeModel(20 * MBIT, 1_000, (ClassQueue(aqm=CoDel(target_us=2_000, interval_us=20_000)),))
    result.append(case("codel", codel, backlog(codel, 1_200, load_percent=110), checks.controlled_delay))
    # 30 frames wait 18 ms at most, which is less than the interval
    bursts = together(*(steady(30, 0, FULL, start_ns=start * 60 * MS) for start in range(5)))
    result.append(case("codel-bursts", codel, bursts, checks.schedule, checks.everything_arrives))
    return result


def changing() -> list[Case]:
    """Changes while frames are queued and on their way: none is lost but by a cut or in silence."""
    slow, fast = PipeModel(10 * MBIT, 20_000), PipeModel(50 * MBIT, 20_000)
    load = steady(150, MS, FULL)  # 185 ms at 10 Mbit/s
    # A frame takes 1.23 ms. Both fall a quarter millisecond into one, so that a change made up to a millisecond late
    # meets the same frame: the 49th and the 98th.
    begin, end = 59_300_000, 119_600_000
    kept = (checks.schedule, checks.everything_arrives, checks.in_order)
    result = [
        case("change-rate-up", slow, load, *kept, changes=(Change(begin, fast),)),
        case("change-rate-down", fast, load, *kept, changes=(Change(begin, slow),)),
        case("change-delay-down", slow, load, *kept, changes=(Change(begin, replace(slow, delay_us=2_000)),)),
        case("change-delay-up", slow, load, *kept, changes=(Change(begin, replace(slow, delay_us=50_000)),)),
        case("silent", slow, load, checks.schedule, changes=(Change(begin, slow, silent=True), Change(end, slow))),
        case("down", slow, load, checks.schedule, changes=(Change(begin, slow, down=True), Change(end, slow))),
    ]
    changes = (Change(begin, slow, frozen=True), Change(end, slow))
    result.append(case("freeze", slow, load, *kept, changes=changes, needs=frozenset({Feature.FREEZE})))
    points = (
        (0, 10 * MBIT, 20_000),
        (30_000, 50 * MBIT, 5_000),
        (60_000, 5 * MBIT, 30_000),
        (90_000, 20 * MBIT, 1_000),
    )
    trace = Trace(tuple(TracePoint(at_us, rate_bps, delay_us) for at_us, rate_bps, delay_us in points))
    changes = (Change(20 * MS, slow, trace=trace),)
    result.append(case("trace", slow, load, *kept, changes=changes, needs=frozenset({Feature.TRACE})))
    light, heavy = (
        PipeModel(20 * MBIT, 1_000, tuple(ClassQueue(strict=False, weight=weight) for weight in weights))
        for weights in ((1, 3), (3, 1))
    )
    both = together(steady(200, MS, FULL, queue=0), steady(200, MS, FULL, queue=1))
    kept = (checks.schedule_in_turns, checks.everything_arrives, checks.in_order)
    result.append(case("change-weights", light, both, *kept, changes=(Change(100 * MS, heavy),)))
    lossy = replace(fast, loss=Loss.bernoulli(1.0))
    changes = (Change(60 * MS, lossy), Change(120 * MS, fast))
    result.append(case("change-loss", fast, load, checks.schedule, changes=changes))
    return result


TABLE: tuple[Case, ...] = (*rates(), *variations(), *chances(), *queues(), *active(), *changing())
