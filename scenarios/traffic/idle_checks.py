"""Checks and assertions of a scenario that can select nothing under its policy: refused before the run, since they
could only fail after it, or say nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.lab.flows.flowspec import ExchangeSpec, FlowSpec, TrafficPlan
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.checks.assertions import AssertSpec
from helsewan.scenarios.spec.checks.metrics import METRICS, Source
from helsewan.scenarios.spec.checks.schema import CheckSpec
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.traffic.applications import Exchanges
from helsewan.scenarios.spec.traffic.programs import ProgramSpec
from helsewan.scenarios.spec.traffic.scan import ScanSpec
from helsewan.scenarios.spec.traffic.schema import IsolationSpec
from helsewan.scenarios.traffic.selection import judged, selects


def idle_checks(spec: ScenarioSpec, plan: Plan, document: Document) -> Iterator[Problem]:
    """Checks of a class that the policy does not have, or that none of the traffic they judge is in."""
    for path, check in _entries(spec):
        where = document.where((*path, "class"))
        if check.cls is None:
            continue
        if check.cls not in plan.traffic_class:
            reason = f"is no class of policy {plan.policy!r}"
            yield Problem(where, check.cls, reason, nearest(check.cls, plan.traffic_class))
        elif not _is_optional(check) and check.cls not in (classes := set(_classes(spec, plan, check))):
            reason = "is the class of none of the traffic that this check judges"
            yield Problem(where, check.cls, reason, nearest("", classes))


def empty_selections(spec: ScenarioSpec, plan: Plan, traffic: TrafficPlan, document: Document) -> Iterator[Problem]:
    """Checks and assertions that select none of the planned flows or exchanges, whatever fails."""
    regions = {site.id: site.region for site in plan.network.sites}
    for path, check in _entries(spec):
        source = METRICS[check.metric].source
        if source is Source.EVENT or _is_optional(check):
            continue
        planned: Sequence[FlowSpec | ExchangeSpec] = traffic.exchanges
        if source is not Source.EXCHANGE:
            planned = [flow for flow in traffic.flows if judged(check, check.metric, flow)]
        if not any(selects(check, one, regions) for one in planned):
            noun = "exchange" if source is Source.EXCHANGE else "flow"
            key, value, known = _narrowest(check, plan, planned)
            reason = f"selects no {noun} of the scenario: it could never be judged"
            yield Problem(document.where((*path, key)), value, reason, nearest(str(value), known) if known else "")


def _entries(spec: ScenarioSpec) -> Iterator[tuple[tuple[str, str], CheckSpec | AssertSpec]]:
    """Checks and assertions with their paths in the file."""
    yield from ((("checks", name), check) for name, check in spec.checks.items())
    yield from ((("assert", name), assertion) for name, assertion in spec.assertions.items())


def _is_optional(check: CheckSpec | AssertSpec) -> bool:
    return isinstance(check, CheckSpec) and check.optional


def _narrowest(
    check: CheckSpec | AssertSpec, plan: Plan, planned: Sequence[FlowSpec | ExchangeSpec]
) -> tuple[str, str | None, Collection[str]]:
    """The key of a check to blame for selecting nothing, its value, and the values that select something."""
    if check.flow is not None:
        return "flow", check.flow, [one.name for one in planned]
    if check.site is not None:
        sites = {site for one in planned for site in (one.client, one.server)}
        return "site", check.site, sites or plan.network.site
    if check.service is not None:
        return "service", check.service, {one.service for one in planned}
    if check.region is not None:
        return "region", check.region.value, ()
    return "metric", check.metric, ()


def _classes(spec: ScenarioSpec, plan: Plan, check: CheckSpec | AssertSpec) -> Iterator[str]:
    """The classes of the traffic that ``check`` judges, whichever of its sites and phases are selected."""
    exchanges = METRICS[check.metric].source is Source.EXCHANGE
    for name, traffic in spec.traffic.items():
        if check.traffic not in (None, name) and not str(check.traffic).startswith(f"{name}."):
            continue
        if isinstance(traffic, ProgramSpec):
            continue
        if isinstance(traffic, IsolationSpec | ScanSpec):
            if not exchanges:
                yield from plan.traffic_class  # probes and scans are of all services
        elif isinstance(traffic, Exchanges) is exchanges and traffic.service in plan.service:
            yield plan.service[traffic.service].class_name
