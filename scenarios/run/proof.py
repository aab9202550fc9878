"""What a run proves of isolation: from the rules that its switches held, and from what its network answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helsewan.lab.proofs.rule_sources import from_file
from helsewan.lab.proofs.verification import proved
from helsewan.policies.plan import Plan
from helsewan.scenarios.results.checks import CheckResult
from helsewan.scenarios.spec.metrics import Unit
from helsewan.verification.findings import Finding, Kind, VerificationReport
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports import results

METRIC, LIMIT = "violations", "== 0"
_NO_FAULT_OF_THE_MACHINES = frozenset({Kind.LEAK, Kind.MISDELIVERED})


@dataclass(frozen=True)
class Proofs:
    """Reports by the moments that they are of."""

    static: Mapping[str, VerificationReport]
    live: Mapping[str, LiveReport]

    def checks(self) -> tuple[CheckResult, ...]:
        """A check for each report."""
        static = (_check(f"proof-{name}", report.violations, _proved(report)) for name, report in self.static.items())
        live = (
            _check(f"live-{name}", report.findings, _asked(report), report.deaf) for name, report in self.live.items()
        )
        return (*static, *live)

    def as_json(self) -> dict[str, Any]:
        """Both kinds of reports as plain data."""
        return {
            "static": {name: results.as_json(report, f"at {name}") for name, report in self.static.items()},
            "live": {name: _told(report) for name, report in self.live.items()},
        }


def proofs(plan: Plan, readings: Mapping[str, Path], live: Mapping[str, LiveReport]) -> Proofs:
    """Proves the rules in files of dumps. Raises InputError for what is no dump."""
    return Proofs({name: proved(plan, from_file(file)) for name, file in readings.items()}, live)


def _told(live: LiveReport) -> dict[str, Any]:
    """What was asked and answered, but for the answers one by one."""
    return {
        "lot": live.seed,
        "answers": [row._asdict() for row in live.table()],
        "violations": [results.finding_json(finding) for finding in live.findings],
        "deaf": list(live.deaf),
        "figures": dict(live.figures),
    }


def _check(name: str, findings: Iterable[Finding], detail: str, deaf: tuple[str, ...] = ()) -> CheckResult:
    found = tuple(findings)
    if found:
        detail = f"{found[0].kind.value}: {found[0].says}"
    elif deaf:
        detail = f"nothing is heard at {', '.join(deaf)}"
    passed = not found and not deaf
    conclusive = any(finding.kind in _NO_FAULT_OF_THE_MACHINES for finding in found)
    count = float(len(found) + len(deaf))
    return CheckResult(name, METRIC, passed, count, LIMIT, Unit.COUNT.value, detail, conclusive)


def _proved(report: VerificationReport) -> str:
    return "; ".join(proof.claim for proof in report.proofs)


def _asked(report: LiveReport) -> str:
    return f"{len(report.answers)} questions and {len(report.talks)} conversations, answered as the rules say"
