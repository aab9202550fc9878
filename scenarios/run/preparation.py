"""What a scenario comes to before anything is started: its network, plan, targets and traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from helsewan.common.errors import InputError
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.compile import policy_path
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_network_plan
from helsewan.scenarios.spec.spec import Scenario, load_scenario
from helsewan.scenarios.spec.timeline.targets import resolve_timeline
from helsewan.scenarios.traffic.flows import plan_traffic


@dataclass(frozen=True)
class Prepared:
    """A scenario that can run: its plan, the targets of its events by name, and its traffic. ``policy_at``: the time
    that the policy's exceptions are judged at."""

    scenario: Scenario
    plan: Plan
    targets: dict[str, Target]
    traffic: TrafficPlan
    policy_at: datetime


def prepare(name: str, overrides: Mapping[str, str], *, seed: int | None = None, sites: int | None = None) -> Prepared:
    """The scenario ``name``, of the library or a file, ready to run, with ``overrides`` (``--set`` keys and values),
    ``--seed`` and ``--sites``. Creates nothing. Raises ``InputError``."""
    return prepare_scenario(load_scenario(name, overrides, seed=seed, sites=sites))


def prepare_scenario(scenario: Scenario, policy_at: datetime | None = None) -> Prepared:
    """A scenario that was read, ready to run, under its policy as of ``policy_at`` or of now. Raises ``InputError``."""
    spec, at = scenario.spec, policy_at or utc_now()
    wanted, policy = spec.network, _policy_file(scenario)
    plan = load_network_plan(policy, scenario.source, wanted.sites, wanted.seed, wanted.swedish_route, at)
    targets = resolve_timeline(spec, plan.network, scenario.document)
    return Prepared(scenario, plan, targets, plan_traffic(spec, plan, scenario.document), at)


def _policy_file(scenario: Scenario) -> Path:
    """The scenario's policy: a name of the library, or a path relative to the scenario's file. Raises InputError, with
    the scenario's line, for neither."""
    try:
        return Path(scenario.document.name).parent / policy_path(scenario.policy)
    except InputError as error:
        where = scenario.document.where(("policy",))
        raise InputError(*(replace(problem, where=where) for problem in error.problems)) from None
