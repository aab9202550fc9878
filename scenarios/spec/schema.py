"""Schema of scenario files; the timeline's, the traffic's and the checks' parts stand in folders of their own.

What depends on several entries is checked by their ``problems``, what depends on the network or the policy by
``timeline.targets`` and ``traffic.flows``.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from helsewan.policies.language.schema import Duration, Name
from helsewan.scenarios.spec.checks.assertions import AssertSpec
from helsewan.scenarios.spec.checks.schema import CheckSpec, VerifySpec
from helsewan.scenarios.spec.timeline.schema import EventSpec, PhaseSpec
from helsewan.scenarios.spec.traffic.schema import Traffic
from helsewan.scenarios.spec.values import MAX_DURATION_US, MOST_RUNS, Strict
from helsewan.topology.model import MOST_SEED


class ParameterType(str, Enum):
    """The type of a scenario's parameter."""

    REGION = "region"
    INTEGER = "integer"
    DURATION = "duration"
    TEXT = "text"


class ParameterSpec(Strict):
    """A value that ``--set`` can change; ``${name}`` stands for it anywhere in the file."""

    type: ParameterType
    default: str | int
    help: str


class NetworkSpec(Strict):
    """The network to build: how many sites in all, and the seed of everything random in the run; ``from`` names a
    network file, relative to the scenario's, in place of the national network."""

    source: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")
    sites: Annotated[int, Field(strict=True, ge=1, le=20_000)]
    seed: Annotated[int, Field(strict=True, ge=0, le=MOST_SEED)]
    swedish_route: Annotated[bool, Field(strict=True)] = False


class ScenarioSpec(Strict):
    """A scenario file."""

    name: Name
    description: str
    network: NetworkSpec
    policy: str
    standby: Annotated[bool, Field(strict=True)] = False  # a second controller takes over when the first fails
    duration: Annotated[Duration, Field(ge=100_000, le=MAX_DURATION_US)]
    warmup: Duration = 0  # at the begin of the run: traffic flows, and its figures count in no phase and no check
    repeat: Annotated[int, Field(strict=True, ge=1, le=MOST_RUNS)] = 1  # how many runs, each with a seed of its own
    parameters: dict[Name, ParameterSpec] = Field(default_factory=dict)
    timeline: dict[Name, EventSpec] = Field(default_factory=dict)
    phases: dict[Name, PhaseSpec] = Field(default_factory=dict)
    verify: VerifySpec | None = None
    traffic: Annotated[dict[Name, Traffic], Field(min_length=1)]
    checks: Annotated[dict[Name, CheckSpec], Field(min_length=1)]
    assertions: dict[Name, AssertSpec] = Field(default_factory=dict, alias="assert")
