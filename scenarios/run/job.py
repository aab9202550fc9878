"""What the outer half of a run hands to the world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helsewan.emulation.links.link_backend import Dataplane
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.spec import Scenario


@dataclass(frozen=True)
class Job:
    """What a world is asked to do: ``scenario`` on ``plan``, with its events' ``targets`` and its ``traffic``;
    results go into ``directory``, tracebacks are shown if ``debug``,
    frames are carried by ``dataplane``."""

    scenario: Scenario
    plan: Plan
    targets: dict[str, Target]
    traffic: TrafficPlan
    directory: Path
    debug: bool
    dataplane: Dataplane = Dataplane.ENGINE
