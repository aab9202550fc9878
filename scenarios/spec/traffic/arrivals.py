"""Schema of arrival processes: when messages and calls begin, how their rate changes, and how long calls last.

All are open loop: what the network does with one message or call does not change when the next one begins.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Duration, Share
from helsewan.scenarios.spec.values import Interval, Strict


class Process(str, Enum):
    """How one arrival follows another."""

    CONSTANT = "constant"  # evenly spaced
    POISSON = "poisson"  # independent: exponential times between them
    PARETO = "pareto-on-off"  # evenly spaced in on periods, none in off periods; both of heavy-tailed length
    LOGNORMAL = "lognormal-on-off"  # the same with lognormal lengths

    @property
    def on_off(self) -> bool:
        """Whether it has on and off periods."""
        return self in (Process.PARETO, Process.LOGNORMAL)


class ArrivalSpec(Strict):
    """An arrival process; ``every`` beside it is its mean interval, on and off periods together."""

    process: Process = Process.CONSTANT
    """how one arrival follows another"""
    active: Interval | None = None
    """the mean length of an on period"""
    idle: Interval | None = None
    """the mean length of an off period"""
    alpha: Annotated[float, Field(gt=1, le=10)] = 1.5
    """the tail index of Pareto lengths; below 2 the variance is infinite, and many such senders together stay bursty at
    all time scales (Willinger and others, 1997)"""
    sigma: Annotated[float, Field(gt=0, le=4)] = 1.0
    """the standard deviation of the logarithm of lognormal lengths"""

    @model_validator(mode="after")
    def _periods(self) -> Self:
        given = {"active", "idle", "alpha", "sigma"} & self.model_fields_set
        if self.process.on_off and (self.active is None or self.idle is None):
            raise UnitError(f"{self.process.value} does not say how long its periods are", "give active and idle")
        parameter = "alpha" if self.process is Process.PARETO else "sigma"
        fitting = {"active", "idle", parameter} if self.process.on_off else set()
        if unused := sorted(given - fitting):
            raise UnitError(f"{self.process.value} has no {unused[0]}", "leave it out")
        return self


def _by_name(value: object) -> object:
    """``poisson`` for ``{process: poisson}``."""
    return {"process": value} if isinstance(value, str) else value


Arrivals = Annotated[ArrivalSpec, BeforeValidator(_by_name, json_schema_input_type=Process | ArrivalSpec)]


def _is_shape(shape: dict[int, float]) -> dict[int, float]:
    if list(shape) != sorted(shape):
        raise UnitError("has times out of order", "write them in ascending order")
    if not any(shape.values()):
        raise UnitError("has no load at any time", "give at least one time a load above 0 %")
    return shape


Shape = Annotated[dict[Duration, Share], Field(min_length=1), AfterValidator(_is_shape)]
"""The rate over time: times from the run's start, each with a share of the full rate; straight lines between them,
level before the first and after the last."""


class Distribution(str, Enum):
    """How holding times of calls are distributed."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"


class HoldingSpec(Strict):
    """How long calls last."""

    mean: Interval
    """the mean"""
    distribution: Distribution = Distribution.EXPONENTIAL
    """how they are distributed: lognormal fits measured calls, exponential is Erlang's assumption"""
    sigma: Annotated[float, Field(gt=0, le=4)] = 1.0
    """the standard deviation of the logarithm of lognormal holding times"""


def _by_mean(value: object) -> object:
    """``30 s`` for ``{mean: 30 s}``."""
    return {"mean": value} if isinstance(value, str) else value


class CallsSpec(Strict):
    """Calls that begin and end during the run, over the entry's pairs of sites: each pair is a line that carries one
    call at a time. A call that finds all lines busy is blocked (Erlang B)."""

    every: Interval
    """the mean time from one call's begin to the next one's, over all lines"""
    holding: Annotated[HoldingSpec, BeforeValidator(_by_mean, json_schema_input_type=Interval | HoldingSpec)]
    """how long calls last"""
    arrivals: Arrivals = ArrivalSpec(process=Process.POISSON)
    """how one call follows another"""
    shape: Shape | None = None
    """the rate of calls over time"""
