"""The job that the launcher hands to the process inside the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.spec import Scenario


@dataclass(frozen=True)
class Job:
    """Run ``scenario`` on ``plan``, with the ``targets`` of its events and its ``traffic``. Results go into
    ``directory``; ``debug`` prints tracebacks; ``forwarding`` carries the frames."""

    scenario: Scenario
    plan: Plan
    targets: dict[str, Target]
    traffic: TrafficPlan
    directory: Path
    debug: bool
    forwarding: Forwarding
