"""A run's proof of isolation: static, from its switches' rules, and live, from probe packets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helsewan.lab.proofs.rule_sources import from_file
from helsewan.lab.proofs.verification import proved
from helsewan.policies.plan import Plan
from helsewan.scenarios.results.checks import CheckResult
from helsewan.scenarios.spec.checks.metrics import Unit
from helsewan.verification.findings import FindingKind, VerificationFinding, VerificationReport
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports import results

METRIC, LIMIT = "violations", "== 0"
_UNREAD = "the rules were not read: the event that they belong to did not take place"
_CONCLUSIVE = frozenset({FindingKind.LEAK, FindingKind.MISDELIVERED})  # no slow machine causes these


@dataclass(frozen=True)
class Proofs:
    """Reports by the name of the time that they are for."""

    static: Mapping[str, VerificationReport]
    live: Mapping[str, LiveReport]
    unread: tuple[str, ...] = ()  # times that never came, because an event did not take place

    def checks(self) -> tuple[CheckResult, ...]:
        """One check for each report."""
        static = (
            _check(f"proof-{name}", report.violations, _static_claim(report), void=report.is_vacuous)
            for name, report in self.static.items()
        )
        live = (
            _check(f"live-{name}", report.findings, _live_claim(report), report.deaf)
            for name, report in self.live.items()
        )
        unread = (
            CheckResult(f"proof-{name}", METRIC, False, float("nan"), LIMIT, Unit.COUNT.value, _UNREAD, False)
            for name in self.unread
        )
        return (*static, *unread, *live)

    def as_json(self) -> dict[str, Any]:
        """Both kinds of reports as plain data, for ``result.json``."""
        return {
            "static": {name: results.as_json(report, f"at {name}") for name, report in self.static.items()},
            "live": {name: _live_json(report) for name, report in self.live.items()},
        }


def proofs(plan: Plan, wanted: Iterable[str], dumps: Mapping[str, Path], live: Mapping[str, LiveReport]) -> Proofs:
    """Prove the rules in dump files, of which those of the names ``wanted`` should be there. Raises InputError for a
    file that is no dump."""
    static = {name: proved(plan, from_file(file)) for name, file in dumps.items()}
    return Proofs(static, live, tuple(name for name in wanted if name not in dumps))


def _live_json(live: LiveReport) -> dict[str, Any]:
    """A live report without the result of each probe."""
    return {
        "lot": live.seed,
        "answers": [row._asdict() for row in live.table()],
        "violations": [results.finding_json(finding) for finding in live.findings],
        "deaf": list(live.deaf),
        "figures": dict(live.figures),
    }


def _check(
    name: str, findings: Iterable[VerificationFinding], detail: str, deaf: tuple[str, ...] = (), *, void: bool = False
) -> CheckResult:
    found = tuple(findings)
    if found:
        detail = f"{found[0].kind.value}: {found[0].reason}"
    elif deaf:
        detail = f"nothing is received at {', '.join(deaf)}"
    elif void:
        detail = "nothing is proved: too much is down for any two sites to exchange a packet"
    passed = not found and not deaf and not void
    conclusive = any(finding.kind in _CONCLUSIVE for finding in found)
    count = float(len(found) + len(deaf) + void)
    return CheckResult(name, METRIC, passed, count, LIMIT, Unit.COUNT.value, detail, conclusive)


def _static_claim(report: VerificationReport) -> str:
    return "; ".join(proof.claim for proof in report.proofs)


def _live_claim(report: LiveReport) -> str:
    return f"{len(report.answers)} probe packets and {len(report.sessions)} sessions, as the rules predict"
