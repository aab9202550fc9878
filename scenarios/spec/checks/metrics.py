"""The metrics that a check can name: meaning and unit of each, and limits such as ``< 0.1 %`` on them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helsewan.common.units import UnitError, format_duration, parse_duration_us, parse_rate_bps, parse_share


class Unit(str, Enum):
    """A metric's unit as ``result.json`` writes it."""

    COUNT = "count"
    SHARE = "share"  # from 0 to 1
    DURATION = "us"
    RATE = "bit/s"
    R_FACTOR = "R"  # transmission rating of ITU-T G.107, 0 to 100
    MOS = "MOS"  # mean opinion score, 1 to 4.5
    MINUTES = "min"


class Source(str, Enum):
    """What a metric is taken from."""

    FLOW = "flow"  # datagram flows (`results.measure`)
    EXCHANGE = "exchange"  # exchanges of applications over TCP and SIP (`results.exchange_figures`)
    EVENT = "event"  # what the run's history says after an event of the timeline (`results.event_times`)
    OUTAGE = "flow after an event"  # a flow's first arrival after an event interrupted it (`results.outages`)
    SITE = "site"  # what sites' flows lost, second by second (`results.site_availability`)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure: its unit, its meaning, whether more of it is worse, and its source."""

    name: str
    unit: Unit
    meaning: str
    more_is_worse: bool = True
    source: Source = Source.FLOW
    conclusive: bool = False  # no slow machine can cause a bad value
    kinds: tuple[str, ...] = ()  # of traffic that has it; empty: all of its source

    @property
    def field(self) -> str:
        """The figure's name with its unit, as results carry it."""
        return self.name + {Unit.DURATION: "_us", Unit.RATE: "_bps", Unit.MINUTES: "_min"}.get(self.unit, "")


def _of_exchanges(name: str, unit: Unit, meaning: str, *kinds: str, more_is_worse: bool = True) -> Metric:
    return Metric(name, unit, meaning, more_is_worse, Source.EXCHANGE, kinds=kinds)


_CALL, _RECEIPTED = "sip", ("ebxml", "prescription")
_ANSWERED = ("transactions", "hl7", *_RECEIPTED, "dicom", "web", "thin-client")
_EXCHANGE_METRICS = (
    _of_exchanges("attempted", Unit.COUNT, "exchanges begun that have ended", more_is_worse=False),
    _of_exchanges("completed", Unit.COUNT, "exchanges with all that belongs to them", more_is_worse=False),
    _of_exchanges("failed", Unit.COUNT, "exchanges refused, broken off or timed out"),
    _of_exchanges("failure", Unit.SHARE, "failed / attempted"),
    _of_exchanges("success", Unit.SHARE, "completed / attempted", more_is_worse=False),
    _of_exchanges("response_p50", Unit.DURATION, "median time from begin to the last byte of all", *_ANSWERED),
    _of_exchanges("response_p95", Unit.DURATION, "response time that 95 % of exchanges keep", *_ANSWERED),
    _of_exchanges("response_p99", Unit.DURATION, "response time that 99 % of exchanges keep", *_ANSWERED),
    _of_exchanges("throughput", Unit.RATE, "bytes received by clients per time", *_ANSWERED, more_is_worse=False),
    _of_exchanges("receipt_p50", Unit.DURATION, "median time from begin to the transport receipt", *_RECEIPTED),
    _of_exchanges("receipt_p99", Unit.DURATION, "time to the transport receipt that 99 % keep", *_RECEIPTED),
    _of_exchanges("call_setup_p50", Unit.DURATION, "median time from INVITE to answer, ringing included", _CALL),
    _of_exchanges("call_setup_p95", Unit.DURATION, "time from INVITE to answer that 95 % of calls keep", _CALL),
    _of_exchanges("call_setup_p99", Unit.DURATION, "time from INVITE to answer that 99 % of calls keep", _CALL),
    _of_exchanges("call_duration_p50", Unit.DURATION, "median time from answer to the end of the BYE", _CALL),
)

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
        *_EXCHANGE_METRICS,
        Metric(
            "time_to_detect",
            Unit.DURATION,
            "from an event's begin until the controller heard of a port or a session of BFD that changed",
            source=Source.EVENT,
        ),
        Metric(
            "time_to_reoptimise",
            Unit.DURATION,
            "from an event's begin until the controller had moved all traffic to new paths",
            source=Source.EVENT,
        ),
        Metric(
            "time_to_repair",
            Unit.DURATION,
            "from an event's begin until the first datagram of a flow arrived after those the event destroyed",
            source=Source.OUTAGE,
        ),
        Metric("minutes_lost", Unit.MINUTES, "time in which a site was unavailable", source=Source.SITE),
    )
}

_COMPARISONS: Mapping[str, Callable[[Any, float], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_LIMIT = re.compile(r"\s*(?P<comparison>[<>=]=|<|>)\s*(?P<bound>\S.*?)\s*")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?")
_OFFSET = re.compile(r"(?P<sign>[+-])\s*(?P<value>\d.*)")
_PERCENT = re.compile(r"(?P<number>\d{1,6}(\.\d{1,6})?)\s*%")
_EXAMPLES = {
    Unit.COUNT: "== 0",
    Unit.SHARE: "< 0.1 %",
    Unit.DURATION: "<= 50 ms",
    Unit.RATE: ">= 64 kbit/s",
    Unit.R_FACTOR: ">= 80",
    Unit.MOS: ">= 4.3",
    Unit.MINUTES: "<= 0.5 min",
}
_RANGES = {  # the values that a unit's metrics can have; those of other units are 0 or more
    Unit.SHARE: (0.0, 1.0),
    Unit.R_FACTOR: (0.0, 100.0),
    Unit.MOS: (1.0, 4.5),
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A comparison with a bound in the metric's own unit."""

    comparison: str
    bound: float
    unit: Unit

    def holds(self, value: float) -> bool:
        """Whether ``value`` keeps the limit; NaN keeps none."""
        return bool(_COMPARISONS[self.comparison](value, self.bound))

    def held_by(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`holds` of each value."""
        return np.asarray(_COMPARISONS[self.comparison](values, self.bound), dtype=bool)

    def __str__(self) -> str:
        bound = format_duration(round(self.bound)) if self.unit is Unit.DURATION else show(self.bound, self.unit)
        return f"{self.comparison} {bound}"

    @property
    def vacuity(self) -> str:
        """Why no run can be judged by this limit: every possible value keeps it, or none does. Empty where one can."""
        least, most = _RANGES.get(self.unit, (0.0, inf))
        ends = {self.holds(least), self.holds(most)}
        if (self.comparison == "==" and least <= self.bound <= most) or len(ends) == 2:
            return ""
        return "holds for every possible value: the check could never fail" if ends == {True} else "holds for no value"


@dataclass(frozen=True, slots=True)
class RelativeLimit:
    """A comparison with another value of the metric: ``factor`` times that value, plus ``offset``."""

    comparison: str
    unit: Unit
    factor: float = 1.0
    offset: float = 0.0

    def against(self, base: float) -> Limit:
        """The limit that ``base`` makes of it."""
        return Limit(self.comparison, self.factor * base + self.offset, self.unit)

    def __str__(self) -> str:
        if self.offset:
            return f"{self.comparison} {'+' if self.offset > 0 else '-'} {show(abs(self.offset), self.unit)}"
        return f"{self.comparison} {self.factor * 100:.6g} %"


def parse_limit(text: object, metric: Metric) -> Limit:
    """A limit such as ``<= 50 ms`` for ``metric``. Raises ``UnitError`` when it does not fit the metric's unit."""
    example = _EXAMPLES[metric.unit]
    match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UnitError("a limit is a comparison and a value", f"write for example {example!r}")
    return Limit(match["comparison"], parse_value(match["bound"], metric), metric.unit)


def parse_relative_limit(text: object, metric: Metric) -> RelativeLimit:
    """A limit relative to another value of ``metric``: ``<= 110 %`` of it, or ``<= + 5 ms``. Raises ``UnitError``."""
    match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UnitError("a limit is a comparison and a value", "write for example '<= 110 %' or '<= + 5 ms'")
    bound = match["bound"]
    if offset := _OFFSET.fullmatch(bound):
        value = parse_value(offset["value"], metric)
        return RelativeLimit(match["comparison"], metric.unit, offset=-value if offset["sign"] == "-" else value)
    if percent := _PERCENT.fullmatch(bound):
        return RelativeLimit(match["comparison"], metric.unit, factor=float(percent["number"]) / 100)
    hint = "write for example '<= 110 %' of the other value, or '<= + 5 ms' more than it"
    raise UnitError(f"{bound!r} is neither a percentage nor a signed difference", hint)


def parse_value(text: str, metric: Metric) -> float:
    """A value of ``metric`` with its unit, in the base unit. Raises ``UnitError``."""
    if metric.unit is Unit.DURATION:
        return parse_duration_us(text)
    if metric.unit is Unit.MINUTES:
        return parse_duration_us(text) / 60e6
    if metric.unit is Unit.RATE:
        return parse_rate_bps(text)
    if metric.unit is Unit.SHARE:
        return parse_share(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    example = _EXAMPLES[metric.unit]
    raise UnitError(f"{text!r} is not a plain number, as {metric.name} is", f"write for example {example!r}")


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
    if unit is Unit.MINUTES:
        return f"{value:.4g} min"
    return f"{value:.0f}" if unit is Unit.COUNT else f"{value:.2f}"


def _scaled(value: float, units: Sequence[tuple[str, float]]) -> str:
    name, factor = next(((name, factor) for name, factor in units if abs(value) >= factor), units[-1])
    return f"{value / factor:.4g} {name}"
