"""Checks of a scenario that can select nothing under its policy: refused before the run, since they fail after it."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.checks.metrics import METRICS, Source
from helsewan.scenarios.spec.checks.schema import CheckSpec
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.traffic.replay import ReplaySpec
from helsewan.scenarios.spec.traffic.schema import IsolationSpec, TransactionSpec


def idle_checks(spec: ScenarioSpec, plan: Plan, document: Document) -> Iterator[Problem]:
    """Checks of a class that the policy does not have, or that none of the traffic they judge is in."""
    for name, check in spec.checks.items():
        where = document.where(("checks", name, "class"))
        if check.cls is None:
            continue
        if check.cls not in plan.traffic_class:
            reason = f"is no class of policy {plan.policy!r}"
            yield Problem(where, check.cls, reason, nearest(check.cls, plan.traffic_class))
        elif not check.optional and check.cls not in (classes := set(_classes(spec, plan, check))):
            reason = "is the class of none of the traffic that this check judges"
            yield Problem(where, check.cls, reason, nearest("", classes))


def _classes(spec: ScenarioSpec, plan: Plan, check: CheckSpec) -> Iterator[str]:
    """The classes of the traffic that ``check`` judges, whichever of its sites and phases are selected."""
    source = METRICS[check.metric].source
    exchanges = source is Source.EXCHANGE
    for name, traffic in spec.traffic.items():
        if check.traffic not in (None, name) and not str(check.traffic).startswith(f"{name}."):
            continue
        if isinstance(traffic, ReplaySpec):
            if source is Source.REPLAY:
                yield from plan.traffic_class  # known once the capture is read
        elif source is Source.REPLAY:
            continue
        elif isinstance(traffic, IsolationSpec):
            if not exchanges:
                yield from plan.traffic_class  # probes are sampled from all services
        elif isinstance(traffic, TransactionSpec) is exchanges and traffic.service in plan.service:
            yield plan.service[traffic.service].class_name
