"""Schema of the timeline and the phases. What depends on several entries is checked by ``timeline.problems``, what
depends on the network by ``timeline.targets``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from helsewan.common.units import DURATION, UnitError
from helsewan.policies.language.schema import Duration, Name
from helsewan.scenarios.spec.timeline.actions import (
    BlackholeSpec,
    CaptureSpec,
    CommandSpec,
    CutSpec,
    ExceptionAction,
    FlapSpec,
    PartitionSpec,
    PauseSpec,
    QuarantineAction,
    SetSpec,
    TargetSpec,
    Text,
    WithdrawSpec,
)
from helsewan.scenarios.spec.timeline.conditions import Condition
from helsewan.scenarios.spec.timeline.timepoints import TimePoint, parse_time_point
from helsewan.scenarios.spec.values import Interval, Strict

_TIME = DURATION.removeprefix("^").removesuffix("$")
PointInTime = Annotated[
    TimePoint,
    BeforeValidator(parse_time_point),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({_TIME}|\\s*[a-z][a-z0-9.-]*\\s*([+-]{_TIME})?)$",
            "examples": ["10 s", "failure", "failure + 500 ms", "end"],
            "description": "a time from the start, or before or after an event",
        }
    ),
]
Times = Annotated[int, Field(strict=True, ge=2, le=10_000)]
Lasting = Annotated[Duration, Field(ge=1_000)]

ACTIONS = (
    "fail",
    "restore",
    "cut",
    "blackhole",
    "flap",
    "set",
    "pause",
    "partition",
    "withdraw",
    "policy",
    "exception",
    "quarantine",
    "command",
    "capture",
    "mark",
    "end",
)
LASTING = frozenset(ACTIONS) - {"restore", "mark", "end"}
"""Actions whose effect lasts until it is ended: by ``for``, by an event ``end``, or with the run."""

FAILURES = frozenset({"fail", "cut", "blackhole", "flap", "pause", "partition"})
"""Actions that take parts of the network out of use, which a repair follows."""

DISCONNECTING = frozenset({"fail", "cut", "blackhole", "flap", "pause", "quarantine"})
"""Actions that may leave traffic between two sites without a path (`targets.Connectivity`)."""


class EventSpec(Strict):
    """An event of the timeline: exactly one time (``at``, ``between`` or ``when``) and exactly one action."""

    at: PointInTime | None = None
    between: tuple[PointInTime, PointInTime] | None = None
    when: Condition | None = None
    after: PointInTime | None = None  # of ``when``: from then on the condition is looked at
    deadline: PointInTime | None = None  # of ``when``: by then, or the event does not take place
    every: Interval | None = None  # of ``at``: repeated that often
    times: Times | None = None
    lasts: Lasting | None = Field(default=None, alias="for")
    undo: Literal["always", "keep"] = "always"

    fail: TargetSpec | None = None
    restore: TargetSpec | None = None
    cut: CutSpec | None = None
    blackhole: BlackholeSpec | None = None
    flap: FlapSpec | None = None
    set: SetSpec | None = None
    pause: PauseSpec | None = None
    partition: PartitionSpec | None = None
    withdraw: WithdrawSpec | None = None
    policy: Text | None = None
    exception: ExceptionAction | None = None
    quarantine: QuarantineAction | None = None
    command: CommandSpec | None = None
    capture: CaptureSpec | None = None
    mark: Text | None = None
    end: Name | None = None

    @model_validator(mode="after")
    def _one_time_one_action(self) -> EventSpec:
        if sum(getattr(self, name) is not None for name in ("at", "between", "when")) != 1:
            raise UnitError("is not exactly one time", "give one of at, between, when")
        if sum(getattr(self, name) is not None for name in ACTIONS) != 1:
            raise UnitError("is not exactly one action", f"give one of {', '.join(ACTIONS)}")
        if self.when is not None and self.deadline is None:
            raise UnitError("waits without a deadline", "add for example deadline: 20 s")
        if self.when is None and (self.deadline is not None or self.after is not None):
            raise UnitError("has a deadline but waits for nothing", "deadline and after belong to when")
        if (self.every is None) != (self.times is None):
            raise UnitError("does not say how often", "give both every and times, or neither")
        if self.every is not None and self.at is None:
            raise UnitError("is repeated from no time", "every and times belong to at")
        if self.lasts is not None and (self.action not in LASTING or self.flap is not None):
            raise UnitError(f"{self.action} does not last", "leave for out")
        if self.undo == "keep" and self.action not in LASTING:
            raise UnitError(f"{self.action} has nothing to keep", "leave undo out")
        return self

    @property
    def action(self) -> str:
        """The key of its action."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)


class PhaseSpec(Strict):
    """A period over which figures are taken; phases may overlap."""

    begin: PointInTime = Field(alias="from")
    end: PointInTime = Field(alias="to")
