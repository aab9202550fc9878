"""One verification: the requested rules, judged statically, by probes of the running network, or both."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.controller.rules.paths import Failures
from helsewan.lab.proofs.rule_query import RuleQuery
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import NOTHING_DOWN, Dump
from helsewan.verification.failures import SCOPES, cases
from helsewan.verification.findings import Case, VerificationReport
from helsewan.verification.live.live_report import LiveReport


@dataclass(frozen=True)
class Method:
    """How to verify: by the rules in all cases of ``failures`` if ``static``, and if ``live`` by the questions of
    ``lot`` to the running network, at most ``questions`` besides the controls. Raises InputError for a scope that is
    none."""

    static: bool = True
    live: bool = False
    failures: str = "none"
    questions: int | None = None
    lot: int = 1

    def __post_init__(self) -> None:
        if self.failures not in SCOPES:
            raise InputError(Problem("--failures", self.failures, "is no scope", f"one of {', '.join(SCOPES)}"))


@dataclass(frozen=True)
class Verified:
    """The report on rules that are ``taken`` from somewhere, and what the running network answered, if it was asked:
    what was wrong there is among the report's findings."""

    report: VerificationReport
    taken: str
    live: LiveReport | None = None

    @property
    def exit_code(self) -> int:
        """0 where nothing breaks the policy, 1 where something does, 3 where what was asked could not be heard."""
        if self.report.violations:
            return ExitCode.FAIL
        return ExitCode.VOID if self.live is not None and self.live.deaf else ExitCode.PASS


def verified(wanted: RuleQuery, method: Method) -> Verified:
    """Verify. Raises InputError, and what a running network raises."""
    if method.live and not wanted.is_live:
        hint = "start one with `helsewan up`, and leave out what makes another"
        raise InputError(Problem("--live", None, "needs a running network", hint))
    began = time.monotonic()
    dump, plan = wanted.read()
    figures = {"rules_s": time.monotonic() - began}
    report = VerificationReport(plan.policy, plan.network.name, (), ())
    if method.static:
        report = proved(plan, dump, method.failures, os.cpu_count() or 1)
    figures |= report.figures
    live = None
    if method.live:
        from helsewan.lab.probing.lab_prober import verify_lab

        live = verify_lab(wanted.name, dump, plan, method.lot, method.questions)
        report = replace(report, findings=report.findings + live.findings)
        figures |= {f"live_{name}": value for name, value in live.figures.items()}
    figures["total_s"] = time.monotonic() - began
    return Verified(replace(report, figures=figures), dump.taken, live)


def proved(plan: Plan, dump: Dump, failures: str = "none", workers: int = 1) -> VerificationReport:
    """What the rules of a dump do, in all cases of failure of a scope beside what is down there already; ``workers`` as
    of `verify`."""
    from helsewan.verification.static import verify

    return verify(plan, dump.rules, as_it_stands(cases(plan.network, failures), dump.down), workers)


def as_it_stands(found: Sequence[Case], down: Failures) -> tuple[Case, ...]:
    """Cases of a network in which something is down already: the same, with that down beside."""
    if down == NOTHING_DOWN:
        return tuple(found)
    return tuple(Case(f"{case.name}, as it stands", _with(case.failures, down)) for case in found)


def _with(failures: Failures, down: Failures) -> Failures:
    return Failures(
        failures.links | down.links,
        failures.routers | down.routers,
        access_links=failures.access_links | down.access_links,
    )
