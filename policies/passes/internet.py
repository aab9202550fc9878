"""Checks that sites reach the Internet only through the given services, and that it opens nothing inward."""

from __future__ import annotations

from collections.abc import Iterable

from helsewan.common.schema_errors import nearest
from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.language.protocols import protocol_name
from helsewan.policies.language.schema import PolicySpec
from helsewan.policies.passes.membership import Clause
from helsewan.policies.passes.selection import Population


def check_internet(spec: PolicySpec, clauses: Iterable[Clause], population: Population, report: PolicyReport) -> None:
    """Report contracts and exceptions, in force or not, that bypass the services in ``internet.through``."""
    if spec.internet is None:
        return
    through, border = spec.internet.through, population.select(spec.internet.at)
    for i, service in enumerate(through):
        if service not in spec.services and not report.lacks("services", service):
            hint, removed = nearest(service, spec.services), [("services", service)]
            report.add(("internet", "through", i), service, "is no service of this policy", hint, removed)
        elif service in spec.services and not spec.services[service].protocol.tells_replies:
            protocol = protocol_name(spec.services[service].protocol)
            reason = f"is over {protocol}, whose replies are not told from openings: they would open every port inward"
            hint = "let sites reach it through a service over tcp"
            report.add(("internet", "through", i), service, reason, hint, [("services", service, "protocol")])
    rules = [("internet", "at"), ("internet", "through")]
    for clause in clauses:
        because = [(*clause.path, "from"), (*clause.path, "to"), *rules]
        entry = spec.contracts[clause.name] if clause.section == "contracts" else spec.exceptions[clause.name]
        if clause.clients - border and clause.servers & border:
            for i, service in enumerate(entry.services):
                if service in clause.services and service not in through:
                    reason = f"would be open to {min(clause.servers & border)}, where the Internet begins"
                    hint = f"only {' and '.join(through)} may be (internet.through)"
                    report.add((*clause.path, "services", i), service, reason, hint, because)
        if clause.clients & border and clause.servers - border:
            inward = f"{min(clause.clients & border)}, where the Internet begins, open {', '.join(clause.services)}"
            reason = f"would let {inward} to {min(clause.servers - border)}"
            report.add(clause.path, None, reason, "nothing is opened from the Internet (internet.at)", because)
