"""Schema of checks and proofs. What depends on several entries is checked by ``checks.problems``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Name
from helsewan.scenarios.spec.checks.metrics import (
    METRICS,
    Limit,
    Metric,
    RelativeLimit,
    Unit,
    parse_limit,
    parse_relative_limit,
)
from helsewan.scenarios.spec.timeline.schema import PointInTime
from helsewan.scenarios.spec.values import Count, Strict
from helsewan.topology.model import Region


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


class Severity(str, Enum):
    """What the failure of a check means."""

    MUST = "must"  # the run fails
    SHOULD = "should"  # a warning: told, and the run passes


class FlowSelection(Strict):
    """The flows that a check or an assertion is about: those that match every key given."""

    cls: Name | None = Field(default=None, alias="class")
    """their class"""
    service: Name | None = None
    """the service that they use"""
    traffic: Name | None = None
    """the entry of the traffic that they are of"""
    region: Region | None = None
    """the region of either end"""
    site: str | None = None
    """the site at either end, by its id"""
    flow: Annotated[str, Field(min_length=1)] | None = None
    """a flow's name, or a pattern such as calls/*"""
    scope: Scope = Scope.ALL
    """what the timeline's failures leave of them"""


class OtherRun(Strict):
    """Another run: its directory or its ``figures.parquet``, by a path from the scenario's file."""

    run: Annotated[str, Field(min_length=1)]
    """its path"""

    def __str__(self) -> str:
        return f"run {self.run}"


class CheckSpec(FlowSelection):
    """A limit on a metric of some flows in a phase; no phase: the whole run but its warm-up.

    With ``than`` the limit is relative to the same figure in that other phase, or of the same flows in another run.
    ``event``: what metrics of events are measured from."""

    metric: MetricName
    """the figure"""
    than: Name | OtherRun | None = None
    """another phase, or another run, that the limit is relative to"""
    limit: Limit | RelativeLimit
    """the limit on it: < 0.1 %, <= 50 ms; relative: <= 110 %, <= + 5 ms"""
    phase: Name | None = None
    """the phase that it is taken over"""
    event: Name | None = None
    """the event of the timeline that it is measured from"""
    over: Over = Over.EACH
    """whether each flow is judged, or all together"""
    severity: Severity = Severity.MUST
    """whether the run fails with it, or a warning is told"""
    optional: Annotated[bool, Field(strict=True)] = False
    """whether it is left out, not failed, where no flow is selected"""

    @field_validator("limit", mode="before")
    @classmethod
    def _read_limit(cls, text: object, info: ValidationInfo) -> object:
        metric = info.data.get("metric")  # missing where it is itself wrong, which is reported already
        if not metric:
            return Limit("==", 0, Unit.COUNT)
        if info.data.get("than") is not None:
            return parse_relative_limit(text, METRICS[metric])
        return possible_limit(text, METRICS[metric])


def possible_limit(text: object, metric: Metric) -> Limit:
    """A limit that some values of ``metric`` keep and others break. Raises ``UnitError``."""
    limit = parse_limit(text, metric)
    if limit.vacuity:
        raise UnitError(limit.vacuity, "give a limit that a bad run would break and a good one keep")
    return limit


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
