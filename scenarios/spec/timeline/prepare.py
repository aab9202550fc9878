"""Everything that a timeline needs of the network, the policy and other files, checked and read before the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.emulation.links.trace import Trace, load_trace
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import Scenario
from helsewan.scenarios.spec.timeline.actions import BY_CLASS
from helsewan.scenarios.spec.timeline.conditions import MetricCondition
from helsewan.scenarios.spec.timeline.contradictions import contradictions
from helsewan.scenarios.spec.timeline.plan import TimelinePlan, plan_timeline
from helsewan.scenarios.spec.timeline.policies import PolicyStates, policy_problems
from helsewan.scenarios.spec.timeline.schema import EventSpec
from helsewan.scenarios.spec.timeline.targets import resolve_timeline


@dataclass(frozen=True)
class PreparedTimeline:
    """A timeline ready to be followed: its plan, and by entry the targets and traces; the policies by state."""

    plan: TimelinePlan
    targets: Mapping[str, Target]
    traces: Mapping[str, Trace]
    policies: PolicyStates


def prepare_timeline(
    spec: ScenarioSpec, plan: Plan, policy: Path, document: Document, policy_at: datetime, whole: bool = True
) -> PreparedTimeline:
    """The timeline of ``spec`` on the network of ``plan``, which is that of the file ``policy``; exceptions of policies
    are judged at ``policy_at``. ``whole``: no entry of the timeline is missing, so contradictions can be told. Raises
    one InputError with every problem but those of times."""
    problems: list[Problem] = []

    def collected(read: Callable[[], Mapping[str, Target]]) -> Mapping[str, Target]:
        try:
            return read()
        except InputError as error:
            problems.extend(error.problems)
            return {}

    timeline = plan_timeline(spec)
    targets = collected(lambda: resolve_timeline(spec, plan.network, document))
    if whole and not problems:
        problems += contradictions(spec, timeline, targets, plan.network, document)
    traces: dict[str, Trace] = {}
    for entry, event in spec.timeline.items():
        problems += _unknown_classes(entry, event, plan, document)
        if event.command is not None and shutil.which(event.command.run[0]) is None:
            where = document.where(("timeline", entry, "command", "run"))
            problems.append(Problem(where, event.command.run[0], "is no program of this machine", "install it"))
        path = ("timeline", entry, "set", "trace")
        if event.set is not None and event.set.trace is not None:
            try:
                traces[entry] = load_trace(document.folder(path) / event.set.trace, event.set.repeat)
            except InputError as error:
                where = document.where(path)
                problems += (
                    Problem(f"{where}: {each.where}", each.value, each.reason, each.hint) for each in error.problems
                )
    policies = PolicyStates(spec, document, plan, policy, policy_at)
    problems += policy_problems(policies, timeline)
    if problems:
        raise InputError(*problems)
    return PreparedTimeline(timeline, targets, traces, policies)


def _unknown_classes(entry: str, event: EventSpec, plan: Plan, document: Document) -> Iterator[Problem]:
    known = plan.traffic_class
    places: list[tuple[tuple[str, ...], str]] = []
    if event.set is not None:
        places += [(("set", key, cls), cls) for key in BY_CLASS for cls in getattr(event.set, key)]
    if isinstance(event.when, MetricCondition) and event.when.cls is not None:
        places.append((("when", "class"), event.when.cls))
    for path, cls in places:
        if cls not in known:
            where = document.where(("timeline", entry, *path))
            yield Problem(where, cls, f"is no class of policy {plan.policy!r}", nearest(cls, known))


def not_in_kernel(scenario: Scenario) -> Iterator[Problem]:
    """What the kernel's queueing disciplines cannot do."""
    for entry, event in scenario.spec.timeline.items():
        follows = event.set is not None and event.set.trace is not None
        stands_still = event.pause is not None and event.pause.controller is None
        if follows or stands_still or event.capture is not None:
            where = scenario.document.where(("timeline", entry, event.action))
            reason = "cannot be done with --dataplane kernel"
            yield Problem(where, event.action, reason, "run it with --dataplane engine")
