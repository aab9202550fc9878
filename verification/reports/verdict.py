"""The verdict on a verification: one word, the exit code, and a line that says what was looked at and what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from helsewan.common.exit_codes import ExitCode
from helsewan.verification.findings import VerificationFinding, VerificationReport
from helsewan.verification.live.live_report import LiveReport

_CODES = {"violated": ExitCode.FAIL, "void": ExitCode.VOID}


def verdict(report: VerificationReport, live: LiveReport | None) -> str:
    """The word: ``violated``; ``void`` where probes were not received, or nothing is left to prove; or ``proved``."""
    if report.violations:
        return "violated"
    return "void" if (live is not None and live.deaf) or report.is_vacuous else "proved"


def exit_code(report: VerificationReport, live: LiveReport | None) -> int:
    """The exit code that a verdict stands for."""
    return _CODES.get(verdict(report, live), ExitCode.PASS)


def verdict_line(report: VerificationReport, live: LiveReport | None) -> str:
    """The verdict with what it is about. It never claims more than was examined."""
    word = verdict(report, live)
    if word == "violated":
        return f"violated: {counted(report.violations)}"
    if live is not None and live.deaf:
        return f"void: nothing is received at {', '.join(live.deaf)}"
    if word == "void":
        return "void: nothing is proved: too much is down for any two sites to exchange a packet"
    if not report.proofs:
        return "probed: no violation of the policy"
    parts = [f"proved: no violation of the policy; {_scope(report)}"]
    if report.vacuous:
        parts.append(f"{len(report.vacuous)} cases prove nothing: no two sites are left in {_some(report.vacuous)}")
    if report.unproved:
        parts.append(f"not proved: {', '.join(report.unproved)}")
    return "; ".join(parts)


def counted(findings: Iterable[VerificationFinding]) -> str:
    """The numbers of findings by kind."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(each.kind.value for each in findings).items())


def _scope(report: VerificationReport) -> str:
    """What the first proof is about."""
    proof = report.proofs[0]
    of = f" of {proof.of_access_links:,}" if proof.access_links < proof.of_access_links else ""
    text = f"{proof.access_links:,}{of} access links, {proof.pairs:,} pairs of sites"
    if len(proof.cases) > 1:
        text += f", {len(proof.cases):,} cases"
    return text


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
