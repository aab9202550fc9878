"""Schema of assertions: limits that hold continuously, over a sliding window, while the run goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError, format_duration, parse_duration_us
from helsewan.policies.language.schema import Duration, Name
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Unit
from helsewan.scenarios.spec.checks.schema import FlowSelection, MetricName, Over, Severity, possible_limit

WINDOWED = (  # the metrics that a window of time has by itself, whatever came before it
    *("sent", "received", "lost", "loss", "leaked", "rate"),
    *("delay_min", "delay_mean", "delay_p50", "delay_p95", "delay_p99", "delay_max"),
    *("attempted", "completed", "failed", "failure", "response_p50", "response_p95", "response_p99", "response_max"),
)
STEPS = 10  # of a sliding window in its own length

_WITHIN = re.compile(r"(?P<time>\d.*?)\s+of\s+(?P<event>[a-z][a-z0-9-]*)\s*")


class OnFail(str, Enum):
    """What follows when an assertion is broken."""

    CONTINUE = "continue"
    ABORT = "abort"  # the run ends at once, with the verdict fail


@dataclass(frozen=True, slots=True)
class Within:
    """No later than ``time_us`` after the begin of an event of the timeline."""

    time_us: int
    event: str

    def __str__(self) -> str:
        return f"within {format_duration(self.time_us)} of {self.event}"


def parse_within(text: object) -> Within:
    """``3 s of failure``. Raises ``UnitError``."""
    match = _WITHIN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UnitError("is no time after an event", "write for example 3 s of failure")
    return Within(parse_duration_us(match["time"]), match["event"])


class AssertSpec(FlowSelection):
    """A limit on a metric over a sliding window, of some flows.

    It holds ``always``, which is the default; or from a time on that lies ``within`` some time of an event; or
    ``eventually``. ``for``: how long it then holds without a break, at least one window. ``in``: the phase to which all
    this applies, else the run but its warm-up."""

    metric: MetricName
    """the figure"""
    limit: Limit
    """the limit on it in a window"""
    window: Annotated[Duration, Field(ge=100_000)] = 1_000_000
    """the window's length"""
    over: Over = Over.EACH
    """whether each flow is judged, or all together"""
    always: Annotated[bool, Field(strict=True)] | None = None
    """every window holds"""
    eventually: Annotated[bool, Field(strict=True)] | None = None
    """a window holds"""
    within: Annotated[Within, BeforeValidator(parse_within)] | None = None
    """a window holds that begins no later than some time after an event: 3 s of failure"""
    lasting: Duration | None = Field(default=None, alias="for")
    """for how long it then holds without a break"""
    phase: Name | None = Field(default=None, alias="in")
    """the phase that it is about"""
    on_fail: OnFail = OnFail.CONTINUE
    """whether the run goes on when it is broken"""
    severity: Severity = Severity.MUST
    """whether the run fails with it, or a warning is told"""

    @field_validator("metric")
    @classmethod
    def _has_windows(cls, metric: str) -> str:
        if metric not in WINDOWED:
            raise UnitError("is no metric of a sliding window", nearest(metric, WINDOWED))
        return metric

    @field_validator("limit", mode="before")
    @classmethod
    def _read_limit(cls, text: object, info: ValidationInfo) -> object:
        metric = info.data.get("metric")
        return possible_limit(text, METRICS[metric]) if metric else Limit("==", 0, Unit.COUNT)

    @model_validator(mode="after")
    def _one_claim(self) -> AssertSpec:
        if False in (self.always, self.eventually):
            raise UnitError("claims nothing", "leave out what does not apply")
        if self.always and (self.eventually or self.within or self.lasting):
            raise UnitError("says always and something less", "leave out always, or the other")
        if self.eventually and self.within:
            raise UnitError("says both eventually and within", "leave out eventually")
        if self.lasting is not None and self.lasting < self.window:
            raise UnitError(f"holds for less than its window of {format_duration(self.window)}", "shorten the window")
        if self.on_fail is OnFail.ABORT and self.severity is Severity.SHOULD:
            raise UnitError("is a warning that ends the run", "leave out severity: should, or on_fail: abort")
        return self

    @property
    def is_always(self) -> bool:
        """Whether every window must hold."""
        return not (self.eventually or self.within or self.lasting)

    @property
    def lasting_us(self) -> int:
        """For how long it must hold without a break, where it need not hold always."""
        return self.lasting or self.window

    def __str__(self) -> str:
        when = "always" if self.is_always else str(self.within or "eventually")
        lasting = f", for {format_duration(self.lasting)}" if self.lasting else ""
        phase = f", in {self.phase}" if self.phase else ""
        return f"{self.limit} in {format_duration(self.window)}, {when}{lasting}{phase}"
