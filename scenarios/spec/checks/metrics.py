"""The metrics that a check can name: meaning and unit of each, and limits such as ``< 0.1 %`` on them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from helsewan.common.units import UnitError, format_duration, parse_duration_us, parse_rate_bps, parse_share


class Unit(str, Enum):
    """A metric's unit as ``result.json`` writes it."""

    COUNT = "count"
    SHARE = "share"  # from 0 to 1
    DURATION = "us"
    RATE = "bit/s"
    R_FACTOR = "R"  # transmission rating of ITU-T G.107, 0 to 100
    MOS = "MOS"  # mean opinion score, 1 to 4.5


class Source(str, Enum):
    """What a metric is taken from."""

    FLOW = "flow"  # datagram flows (`results.measure`)
    REPLAY = "replay"  # packets of replayed captures (`results.replay_figures`)
    EXCHANGE = "exchange"  # TCP requests and responses (`results.exchange_figures`)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure: its unit, its meaning, whether more of it is worse, and its source."""

    name: str
    unit: Unit
    meaning: str
    more_is_worse: bool = True
    source: Source = Source.FLOW
    conclusive: bool = False  # no slow machine can cause a bad value

    @property
    def field(self) -> str:
        """The figure's name with its unit, as results carry it."""
        return self.name + {Unit.DURATION: "_us", Unit.RATE: "_bps"}.get(self.unit, "")


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("sent", Unit.COUNT, "datagrams that came due", more_is_worse=False),
        Metric("received", Unit.COUNT, "datagrams that arrived, duplicates not counted", more_is_worse=False),
        Metric("leaked", Unit.COUNT, "datagrams that arrived although policy denies them", conclusive=True),
        Metric("misdelivered", Unit.COUNT, "datagrams that arrived at a socket they were not sent to", conclusive=True),
        Metric(
            "mismarked", Unit.COUNT, "datagrams that arrived without the code point of their class", conclusive=True
        ),
        Metric("lost", Unit.COUNT, "datagrams that came due and never arrived"),
        Metric("loss", Unit.SHARE, "lost / sent"),
        Metric("duplicates", Unit.COUNT, "arrivals of a datagram beyond its first"),
        Metric("reordered", Unit.COUNT, "arrivals after a later datagram of the flow (RFC 4737, type P reordered)"),
        Metric("delay_min", Unit.DURATION, "least one-way delay"),
        Metric("delay_mean", Unit.DURATION, "mean one-way delay"),
        Metric("delay_p50", Unit.DURATION, "median one-way delay"),
        Metric("delay_p99", Unit.DURATION, "one-way delay that 99 % of datagrams keep"),
        Metric("delay_max", Unit.DURATION, "greatest one-way delay"),
        Metric("jitter", Unit.DURATION, "interarrival jitter at the phase's end (RFC 3550, 6.4.1)"),
        Metric("pdv_p99", Unit.DURATION, "packet delay variation, 99th percentile (RFC 5481, 4.2)"),
        Metric("gap", Unit.DURATION, "longest silence at the receiver within the phase, less what the sender was late"),
        Metric("rate", Unit.RATE, "UDP payload received per time", more_is_worse=False),
        Metric("r_factor", Unit.R_FACTOR, "transmission rating R of a voice flow (ITU-T G.107)", more_is_worse=False),
        Metric("mos", Unit.MOS, "estimated mean opinion score of a voice flow (ITU-T G.107)", more_is_worse=False),
        Metric("attempted", Unit.COUNT, "requests begun", more_is_worse=False, source=Source.EXCHANGE),
        Metric("completed", Unit.COUNT, "requests answered in full", more_is_worse=False, source=Source.EXCHANGE),
        Metric("failed", Unit.COUNT, "requests refused, broken off or timed out", source=Source.EXCHANGE),
        Metric("failure", Unit.SHARE, "failed / attempted", source=Source.EXCHANGE),
        Metric("response_p50", Unit.DURATION, "median time from connect to last byte", source=Source.EXCHANGE),
        Metric("response_p99", Unit.DURATION, "response time that 99 % of requests keep", source=Source.EXCHANGE),
        Metric("replay_sent", Unit.COUNT, "packets replayed", more_is_worse=False, source=Source.REPLAY),
        Metric("replay_received", Unit.COUNT, "of those, that came out", more_is_worse=False, source=Source.REPLAY),
        Metric("replay_lost", Unit.COUNT, "packets replayed that never came out", source=Source.REPLAY),
        Metric("replay_loss", Unit.SHARE, "replay_lost / replay_sent", source=Source.REPLAY),
        Metric(
            "replay_leaked",
            Unit.COUNT,
            "packets that came out although policy denies them",
            source=Source.REPLAY,
            conclusive=True,
        ),
        Metric("replay_duplicates", Unit.COUNT, "arrivals of a packet beyond its first", source=Source.REPLAY),
        Metric(
            "replay_reordered",
            Unit.COUNT,
            "packets that came out after a later one of the flow (RFC 4737)",
            source=Source.REPLAY,
        ),
        Metric("replay_delay_p50", Unit.DURATION, "median one-way delay of packets", source=Source.REPLAY),
        Metric("replay_delay_p95", Unit.DURATION, "one-way delay that 95 % of packets keep", source=Source.REPLAY),
        Metric("replay_delay_p99", Unit.DURATION, "one-way delay that 99 % of packets keep", source=Source.REPLAY),
        Metric("replay_delay_max", Unit.DURATION, "greatest one-way delay of a packet", source=Source.REPLAY),
    )
}

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_LIMIT = re.compile(r"\s*(?P<comparison>[<>=]=|<|>)\s*(?P<bound>\S.*?)\s*")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?")
_EXAMPLES = {
    Unit.COUNT: "== 0",
    Unit.SHARE: "< 0.1 %",
    Unit.DURATION: "<= 50 ms",
    Unit.RATE: ">= 64 kbit/s",
    Unit.R_FACTOR: ">= 80",
    Unit.MOS: ">= 4.3",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A comparison with a bound in the metric's own unit."""

    comparison: str
    bound: float
    unit: Unit

    def holds(self, value: float) -> bool:
        """Whether ``value`` keeps the limit; NaN keeps none."""
        return _COMPARISONS[self.comparison](value, self.bound)

    def __str__(self) -> str:
        bound = format_duration(round(self.bound)) if self.unit is Unit.DURATION else show(self.bound, self.unit)
        return f"{self.comparison} {bound}"


def parse_limit(text: object, metric: Metric) -> Limit:
    """A limit such as ``<= 50 ms`` for ``metric``. Raises ``UnitError`` when it does not fit the metric's unit."""
    example = _EXAMPLES[metric.unit]
    match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UnitError("a limit is a comparison and a value", f"write for example {example!r}")
    bound = match["bound"]
    if metric.unit is Unit.DURATION:
        value: float = parse_duration_us(bound)
    elif metric.unit is Unit.RATE:
        value = parse_rate_bps(bound)
    elif metric.unit is Unit.SHARE:
        value = parse_share(bound)
    elif _NUMBER.fullmatch(bound):
        value = float(bound)
    else:
        raise UnitError(f"{bound!r} is not a plain number, as {metric.name} is", f"write for example {example!r}")
    return Limit(match["comparison"], value, metric.unit)


def show(value: float, unit: Unit) -> str:
    """A value with its unit for people, to four figures."""
    if value != value:
        return "none"
    if unit is Unit.DURATION:
        return _scaled(value, (("s", 1e6), ("ms", 1e3), ("us", 1)))
    if unit is Unit.RATE:
        return _scaled(value, (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3), ("bit/s", 1)))
    if unit is Unit.SHARE:
        return f"{value * 100:.4g} %"
    return f"{value:.0f}" if unit is Unit.COUNT else f"{value:.2f}"


def _scaled(value: float, units: Sequence[tuple[str, float]]) -> str:
    name, factor = next(((name, factor) for name, factor in units if abs(value) >= factor), units[-1])
    return f"{value / factor:.4g} {name}"
