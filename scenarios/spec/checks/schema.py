"""Schema of checks and proofs. What depends on several entries is checked by ``checks.problems``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Name
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Unit, parse_limit
from helsewan.scenarios.spec.timeline.schema import PointInTime
from helsewan.scenarios.spec.values import Count, Strict


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise UnitError("is no metric", nearest(name, METRICS))
    return name


MetricName = Annotated[str, AfterValidator(_known_metric), Field(json_schema_extra={"enum": sorted(METRICS)})]


class Scope(str, Enum):
    """Flows by what the timeline's failures do to them."""

    ALL = "all"
    SURVIVING = "surviving"  # both ends keep their primary PoP
    ACCESS_HIT = "access_hit"  # an end loses its primary PoP and has another
    CUT = "cut"  # no path is left between the ends


class Over(str, Enum):
    """How a check judges several flows."""

    EACH = "each"  # the worst flow decides
    TOGETHER = "together"  # all flows pooled


class CheckSpec(Strict):
    """A limit on a metric of some flows in a phase; no phase: the whole run."""

    metric: MetricName
    limit: Limit
    cls: Name | None = Field(default=None, alias="class")
    traffic: Name | None = None
    phase: Name | None = None
    scope: Scope = Scope.ALL
    over: Over = Over.EACH
    optional: Annotated[bool, Field(strict=True)] = False  # left out, not failed, where no flow is selected

    @field_validator("limit", mode="before")
    @classmethod
    def _read_limit(cls, text: object, info: ValidationInfo) -> object:
        metric = info.data.get("metric")  # missing where it is itself wrong, which is reported already
        return parse_limit(text, METRICS[metric]) if metric else Limit("==", 0, Unit.COUNT)


class VerifySpec(Strict):
    """Proof of isolation: named times at which the rules of every switch are read back, to be proved after the run; and
    how many probe packets are sent before the traffic, and again after."""

    rules: dict[Name, PointInTime] = Field(default_factory=dict)
    questions: Count | None = None

    @model_validator(mode="after")
    def _something(self) -> VerifySpec:
        if not self.rules and self.questions is None:
            raise UnitError("verifies nothing", "give rules, questions or both")
        return self
