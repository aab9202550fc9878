"""Schema of scenario files; the timeline's, the traffic's and the checks' parts stand in folders of their own.

What depends on several entries is checked by their ``problems``, what depends on the network or the policy by
``timeline.targets`` and ``traffic.flows``.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from helsewan.policies.language.schema import Duration, IncludeKeys, Name
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
    """what kind of value it is"""
    default: str | int
    """its value without --set"""
    help: str
    """what it changes"""


class NetworkSpec(Strict):
    """The network to build."""

    source: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")
    """a network file, by its path from the scenario's, in place of the national network"""
    sites: Annotated[int, Field(strict=True, ge=1, le=20_000)]
    """the number of sites in all"""
    seed: Annotated[int, Field(strict=True, ge=0, le=MOST_SEED)]
    """a number from which all random numbers of the run come"""
    swedish_route: Annotated[bool, Field(strict=True)] = False
    """whether the national network has the link from Narvik to Oslo through Sweden"""


class ScenarioSpec(IncludeKeys):
    """A scenario: a network, what happens to it, the traffic meanwhile, and what must hold."""

    name: Name
    """the scenario's name"""
    description: str
    """what it tests, in a sentence"""
    network: NetworkSpec
    """the network to build"""
    policy: str
    """the network's policy: a name of the policies' library, or a path from this file"""
    standby: Annotated[bool, Field(strict=True)] = False
    """whether a second controller takes over when the first fails"""
    duration: Annotated[Duration, Field(ge=100_000, le=MAX_DURATION_US)]
    """how long traffic is sent"""
    warmup: Duration = 0
    """how much of the begin counts in no phase and no check"""
    repeat: Annotated[int, Field(strict=True, ge=1, le=MOST_RUNS)] = 1
    """how many runs, each with a seed of its own"""
    parameters: dict[Name, ParameterSpec] = Field(default_factory=dict)
    """what --set can change, by name"""
    timeline: dict[Name, EventSpec] = Field(default_factory=dict)
    """what happens to the network, by name"""
    phases: dict[Name, PhaseSpec] = Field(default_factory=dict)
    """periods over which figures are taken, by name"""
    verify: VerifySpec | None = None
    """proof of isolation"""
    traffic: Annotated[dict[Name, Traffic], Field(min_length=1)]
    """what sites send to one another, by name"""
    checks: Annotated[dict[Name, CheckSpec], Field(min_length=1)]
    """limits that figures must keep, by name"""
    assertions: dict[Name, AssertSpec] = Field(default_factory=dict, alias="assert")
    """limits that must hold all the time, or from some time on, by name"""
