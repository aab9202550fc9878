"""What is wrong with checks, as far as the file alone shows it."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.scenarios.spec.checks.metrics import METRICS, Source
from helsewan.scenarios.spec.checks.schema import CheckSpec, Scope
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.timepoints import RUN
from helsewan.scenarios.spec.traffic.replay import ReplaySpec
from helsewan.scenarios.spec.traffic.schema import IsolationSpec, TransactionSpec


def check_problems(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Problems of checks: unknown phases and traffic, traffic that does not have the metric."""
    for name, check in spec.checks.items():
        if check.phase not in (None, RUN, *spec.phases):
            hint = nearest(str(check.phase), [*spec.phases, RUN])
            yield Problem(document.where(("checks", name, "phase")), check.phase, "is no phase", hint)
        if check.traffic is not None and check.traffic not in _traffic_names(spec):
            hint = nearest(check.traffic, _traffic_names(spec))
            yield Problem(document.where(("checks", name, "traffic")), check.traffic, "is no traffic", hint)
        elif check.traffic in spec.traffic and not _fits(spec, check):
            reason = f"has no {check.metric}: that is a metric of other traffic"
            yield Problem(document.where(("checks", name, "metric")), check.traffic, reason, "")
        if check.scope is not Scope.ALL and not any(event.fail for event in spec.timeline.values()):
            where = document.where(("checks", name, "scope"))
            yield Problem(where, check.scope.value, "has no effect: the timeline has no failure", "leave it out")


def _traffic_names(spec: ScenarioSpec) -> list[str]:
    """Names of traffic entries, and of the groups of flows in isolation entries."""
    probed = [name for name, traffic in spec.traffic.items() if isinstance(traffic, IsolationSpec)]
    return [*spec.traffic, *(f"{name}.{part}" for name in probed for part in ("requests", "replies", "controls"))]


def _fits(spec: ScenarioSpec, check: CheckSpec) -> bool:
    traffic, source = spec.traffic[str(check.traffic)], METRICS[check.metric].source
    own = {TransactionSpec: Source.EXCHANGE, ReplaySpec: Source.REPLAY}
    return own.get(type(traffic), Source.FLOW) is source
