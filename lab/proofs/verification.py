"""A verification of selected rules: statically, by probes of a running lab, or both."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from helsewan.common.errors import InputError, Problem
from helsewan.controller.rules.paths import Failures
from helsewan.lab.proofs.rule_query import RuleQuery
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import NO_FAILURES, Dump
from helsewan.verification.failures import SCOPES, cases
from helsewan.verification.findings import FailureCase, VerificationReport
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports.verdict import exit_code


@dataclass(frozen=True)
class Method:
    """How to verify: if ``static``, the rules in all failure cases of the scope ``failures``; if ``live``, by probes
    that ``seed`` selects, at most ``probes`` besides the controls. Raises InputError for an unknown scope."""

    static: bool = True
    live: bool = False
    failures: str = "none"
    probes: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.failures not in SCOPES:
            raise InputError(Problem("--failures", self.failures, "is no scope", f"one of {', '.join(SCOPES)}"))


@dataclass(frozen=True)
class Verified:
    """The report on rules; ``taken`` is their source. ``live``: the outcomes of the probes, if any were sent; their
    violations are included in the report's findings."""

    report: VerificationReport
    taken: str
    live: LiveReport | None = None

    @property
    def exit_code(self) -> int:
        """0 without violations, 1 with violations, 3 where probes could not be received or nothing is left to prove."""
        return exit_code(self.report, self.live)


def verified(query: RuleQuery, method: Method) -> Verified:
    """Verify the rules that ``query`` selects. Raises InputError, and the errors of a running lab's client."""
    if method.live and not query.is_live:
        hint = "start one with `helsewan up`, and leave out options that define another network"
        raise InputError(Problem("--live", None, "needs a running network", hint))
    began = time.monotonic()
    dump, plan = query.read()
    figures = {"rules_s": time.monotonic() - began}
    report = VerificationReport(plan.policy, plan.network.name, (), ())
    if method.static:
        report = proved(plan, dump, method.failures, os.cpu_count() or 1)
    figures |= report.figures
    live = None
    if method.live:
        from helsewan.lab.probing.lab_prober import verify_lab

        live = verify_lab(query.name, dump, plan, method.seed, method.probes)
        report = replace(report, findings=report.findings + live.findings)
        figures |= {f"live_{name}": value for name, value in live.figures.items()}
    figures["total_s"] = time.monotonic() - began
    return Verified(replace(report, figures=figures), dump.taken, live)


def proved(plan: Plan, dump: Dump, failures: str = "none", workers: int = 1) -> VerificationReport:
    """Verify the rules of a dump in all failure cases of a scope, each in addition to the failures in the dump;
    ``workers`` as in `verify`."""
    from helsewan.verification.static import verify

    report = verify(plan, dump.rules, as_it_stands(cases(plan.network, failures), dump.down), workers)
    return replace(report, unproved=(*report.unproved, *dump.lacks))


def as_it_stands(found: Sequence[FailureCase], down: Failures) -> tuple[FailureCase, ...]:
    """Failure cases with the current failures ``down`` added to each."""
    if down == NO_FAILURES:
        return tuple(found)
    return tuple(FailureCase(f"{case.name}, as it stands", _with(case.failures, down)) for case in found)


def _with(failures: Failures, down: Failures) -> Failures:
    return Failures(
        failures.links | down.links,
        failures.routers | down.routers,
        access_links=failures.access_links | down.access_links,
    )
