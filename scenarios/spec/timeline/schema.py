"""Schema of the timeline and the phases. What depends on several entries is checked by ``timeline.problems``, what
depends on the network by ``timeline.targets``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Duration
from helsewan.scenarios.spec.timeline.timepoints import TimePoint, parse_time_point
from helsewan.scenarios.spec.values import Strict
from helsewan.topology.model import Region

PointInTime = Annotated[TimePoint, BeforeValidator(parse_time_point)]


class TargetSpec(Strict):
    """The target of an event: exactly one of these."""

    region_core: Region | None = None
    pop: str | None = None
    router: str | None = None
    link: str | None = None
    access: str | None = None
    srlg: str | None = None
    controller: Literal["leading"] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> TargetSpec:
        if len(self.model_dump(exclude_none=True)) != 1:
            hint = "give one of region_core, pop, router, link, access, srlg, controller"
            raise UnitError("is not exactly one target", hint)
        return self


class EventSpec(Strict):
    """An event of the timeline: when it happens, and the target that it fails or restores."""

    at: Duration
    fail: TargetSpec | None = None
    restore: TargetSpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> EventSpec:
        if (self.fail is None) == (self.restore is None):
            raise UnitError("is not exactly one action", "give either fail or restore")
        return self


class PhaseSpec(Strict):
    """A period over which figures are taken; phases may overlap."""

    begin: PointInTime = Field(alias="from")
    end: PointInTime = Field(alias="to")
