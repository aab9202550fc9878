"""``helsewan verify``: violations, proofs, and the results of probes on a running network, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import starmap

from rich.box import SIMPLE_HEAD
from rich.table import Table

from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table
from helsewan.lab.proofs.verification import Verified
from helsewan.verification.findings import FindingKind, IsolationProof, VerificationFinding
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports.results import as_text
from helsewan.verification.reports.verdict import counted, verdict, verdict_line
from helsewan.verification.reports.witness import in_words

_SHOWN = 20  # violations in the table; all are in --json, --junit and --witness


def print_report(found: Verified, list_dead_rules: bool) -> None:
    """Print the violations with a path trace of the first of each kind, the proofs, the results of probes, the findings
    that violate no policy, and the times."""
    screen, report = Screen(), found.report
    screen.print(f"policy {report.policy} on {report.network}; rules: {found.taken}\n", markup=False, soft_wrap=True)
    violations = report.violations
    if violations:
        print_table(screen, _violations(violations[:_SHOWN]))
        if len(violations) > _SHOWN:
            screen.print(f"and {len(violations) - _SHOWN} more (--json, --junit and --witness have all)\n")
        for finding in _first_of_each_kind(violations):
            screen.print(as_text(finding) + "\n", markup=False, soft_wrap=True)
    if report.proofs:
        print_table(screen, _proofs(report.proofs))
    if found.live is not None:
        print_table(screen, _probes(found.live))
    _print_dead_rules(screen, [each for each in report.findings if not each.is_violation], list_dead_rules)
    if report.figures:
        screen.print(", ".join(starmap(_figure, report.figures.items())), markup=False, soft_wrap=True)
    line, style = _verdict(found)
    screen.print(line, style=style, markup=False, soft_wrap=True)


def _figure(name: str, value: float) -> str:
    """A figure with its name: times in hundredths of a second, sizes whole."""
    return f"{name} {value:.2f}" if name.endswith("_s") else f"{name} {value:,.0f}"


def _verdict(found: Verified) -> tuple[str, str]:
    """The verdict's line, and its style."""
    style = {"violated": "bold red", "void": "bold yellow"}.get(verdict(found.report, found.live), "bold green")
    return verdict_line(found.report, found.live), style


def _probes(live: LiveReport) -> Table:
    table = Table(title=f"probes of the running network, seed {live.seed}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("probes")
    for heading in ("sent", "arrive by the rules", "differ from the rules", "violate the policy"):
        table.add_column(heading, justify="right")
    for name, *counts in live.table():
        table.add_row(_plain(name), *map(str, counts))
    return table


def _violations(findings: Iterable[VerificationFinding]) -> Table:
    table = Table(title="violations", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("kind", "case", "from → to", "packet", "policy"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        ends = f"{finding.site}/{finding.access_link} → {finding.towards or '?'}" if finding.site else finding.where
        packet = in_words(finding.packet) if finding.packet else ""
        source = f"{finding.reason} ({finding.source.rpartition('/')[2]})" if finding.source else finding.reason
        alike = f" and {finding.alike} more" if finding.alike else ""
        table.add_row(*map(_plain, (finding.kind.value, finding.case, ends + alike, packet, source)))
    return table


def _proofs(proofs: Iterable[IsolationProof]) -> Table:
    table = Table(title="proved", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("for every packet", overflow="fold")
    for heading in ("cases", "access links", "pairs of sites"):
        table.add_column(heading, justify="right")
    table.add_column("assumed", overflow="fold")
    for proof in proofs:
        counts = (f"{len(proof.cases):,}", f"{proof.access_links:,}", f"{proof.pairs:,}")
        table.add_row(_plain(proof.claim), *counts, _plain("; ".join(proof.assumed)))
    return table


def _print_dead_rules(screen: Screen, dead: list[VerificationFinding], listed: bool) -> None:
    if not dead:
        return
    hint = "" if listed else " (--dead-rules lists them)"
    screen.print(f"no violation: {counted(dead)}{hint}", markup=False, soft_wrap=True)
    for each in dead if listed else ():
        screen.print(f"  {each.kind.value}: {each.where}: {each.reason}", markup=False, soft_wrap=True)


def _first_of_each_kind(findings: Iterable[VerificationFinding]) -> Iterable[VerificationFinding]:
    first: dict[FindingKind, VerificationFinding] = {}
    for finding in findings:
        first.setdefault(finding.kind, finding)
    return first.values()


def _plain(text: str) -> str:
    """Text without rich's markup."""
    return text.replace("[", "\\[")
