"""Schema of conditions: what an event with ``when`` waits for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Duration, Name
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Unit, parse_limit
from helsewan.scenarios.spec.values import Strict

LIVE_METRICS = (
    "sent",
    "received",
    "lost",
    "loss",
    "mismarked",
    "leaked",
    "delay_min",
    "delay_mean",
    "delay_p50",
    "delay_p99",
    "delay_max",
    "rate",
)
"""The metrics that can be followed while the run goes on (`events.live_figures`)."""

REPAIRED = "repaired"


class MetricCondition(Strict):
    """A figure of some flows over the last ``over`` is within ``limit``; flows without ``class`` and ``traffic``: all
    that must arrive."""

    metric: str
    limit: Limit
    cls: Name | None = Field(default=None, alias="class")
    traffic: Name | None = None
    over: Annotated[Duration, Field(ge=50_000, le=60_000_000)] = 500_000

    @field_validator("metric")
    @classmethod
    def _live(cls, name: str) -> str:
        if name not in LIVE_METRICS:
            reason = "cannot be followed while the run goes on" if name in METRICS else "is no metric"
            raise UnitError(reason, nearest(name, LIVE_METRICS))
        return name

    @field_validator("limit", mode="before")
    @classmethod
    def _read_limit(cls, text: object, info: ValidationInfo) -> object:
        metric = info.data.get("metric")  # missing where it is itself wrong, which is reported already
        return parse_limit(text, METRICS[metric]) if metric else Limit("==", 0, Unit.COUNT)


class EventCondition(Strict):
    """Another event has taken place."""

    event: Name


def _kind(value: Any) -> str:
    """Which of the conditions ``value`` is meant to be, for pydantic."""
    if isinstance(value, MetricCondition | EventCondition):
        return type(value).__name__
    if isinstance(value, dict):
        return EventCondition.__name__ if "event" in value else MetricCondition.__name__
    return REPAIRED


Condition = Annotated[
    Annotated[Literal["repaired"], Tag(REPAIRED)]
    | Annotated[MetricCondition, Tag(MetricCondition.__name__)]
    | Annotated[EventCondition, Tag(EventCondition.__name__)],
    Discriminator(_kind),
]
