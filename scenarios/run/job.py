"""The job that the launcher hands to the process inside the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.policies.plan import Plan
from helsewan.scenarios.results.other_run import FlowFigures
from helsewan.scenarios.spec.spec import Scenario
from helsewan.scenarios.spec.timeline.prepare import PreparedTimeline


@dataclass(frozen=True)
class Job:
    """Run ``scenario`` on ``plan``, with its ``timeline`` and ``traffic``. Results go into
    ``directory``; ``debug`` prints tracebacks; ``forwarding`` carries the frames;
    ``other_runs`` has the figures of the runs that checks compare with, by path."""

    scenario: Scenario
    plan: Plan
    timeline: PreparedTimeline
    traffic: TrafficPlan
    directory: Path
    debug: bool
    forwarding: Forwarding
    other_runs: Mapping[str, FlowFigures]
