"""A verification report for programs, as JSON and JUnit XML. The keys are documented in docs/verify.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from helsewan.verification.concrete.fabric import Hop, Trace
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.findings import IsolationProof, VerificationFinding, VerificationReport
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports.verdict import exit_code, verdict, verdict_line
from helsewan.verification.reports.witness import expression, in_words

FORMAT = "helsewan-verification/1"


def as_json(report: VerificationReport, rules: str, live: LiveReport | None = None) -> dict[str, Any]:
    """A report as JSON data; ``rules`` says where the rules were read from; ``live`` is the report on probes, if any
    were sent."""
    return {
        "format": FORMAT,
        "verdict": verdict(report, live),
        "exit_code": exit_code(report, live),
        "policy": report.policy,
        "network": report.network,
        "rules": rules,
        "violations": [*map(finding_json, report.violations)],
        "proofs": [*map(_proof, report.proofs)],
        "vacuous": list(report.vacuous),
        "unproved": list(report.unproved),
        "flaws": [finding_json(finding) for finding in report.findings if not finding.is_violation],
        "live": None if live is None else _live(live),
        "figures": dict(report.figures),
    }


def _live(live: LiveReport) -> dict[str, Any]:
    return {"lot": live.seed, "answers": [row._asdict() for row in live.table()], "deaf": list(live.deaf)}


def finding_json(finding: VerificationFinding) -> dict[str, Any]:
    """A finding as JSON data; missing parts are null."""
    return {
        "kind": finding.kind.value,
        "case": finding.case,
        "from": {"site": finding.site, "line": finding.access_link} if finding.site else None,
        "to": finding.towards,
        "roles": list(finding.roles),
        "packet": packet_json(finding.packet) if finding.packet else None,
        "says": finding.reason,
        "source": finding.source,
        "where": finding.where or None,
        "way": _path(finding.trace) if finding.trace else None,
        "alike": finding.alike,
    }


def packet_json(packet: Packet) -> dict[str, Any]:
    """A packet as JSON data: its fields as numbers (hexadecimal beyond 53 bits), in words, and as a Scapy
    expression."""
    fields = {name: value if value < 1 << 53 else hex(value) for name, value in sorted(packet.fields.items())}
    labels = [{"label": each.label, "tc": each.tc, "ttl": each.ttl} for each in packet.labels]
    return {"words": in_words(packet), "scapy": expression(packet), "fields": fields, "labels": labels}


def _path(trace: Trace) -> dict[str, Any]:
    return {
        "end": trace.end.name.lower(),
        "site": trace.site,
        "reason": trace.reason.name.lower() if trace.reason is not None else None,
        "hops": [*map(_hop, trace.hops)],
    }


def _hop(hop: Hop) -> dict[str, Any]:
    return {
        "router": hop.ingress.router,
        "in_port": hop.ingress.port,
        "entries": [f"{rule}" for rule in hop.visit.rules],
        "groups": [{"group": f"{choice.group}", "bucket": choice.bucket} for choice in hop.visit.choices],
    }


def _proof(proof: IsolationProof) -> dict[str, Any]:
    return {
        "claim": proof.claim,
        "cases": list(proof.cases),
        "lines": proof.access_links,
        "of_lines": proof.of_access_links,
        "pairs": proof.pairs,
        "least": {"case": proof.least, "lines": proof.least_access_links},
        "assumed": list(proof.assumed),
    }


def as_junit(report: VerificationReport) -> bytes:
    """A report as JUnit XML: a passed test case for each proof, and a failed one for each kind of violation in each
    case of failures; an error where nothing is left to prove. Dead rules are counted in the properties of the suite."""
    failed = _by_kind_and_case(report.violations)
    suites = ElementTree.Element("testsuites")
    tests, void = len(report.proofs) + len(failed) + report.is_vacuous, str(int(report.is_vacuous))
    count = {"tests": str(tests), "failures": str(len(failed)), "errors": void}
    time = f"{report.figures.get('total_s', 0.0):.3f}"
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "helsewan verify", "time": time, **count})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for (kind, case), findings in failed.items():
        test = ElementTree.SubElement(suite, "testcase", {"classname": report.policy, "name": f"{kind}: {case}"})
        message = f"{len(findings)} found, for example {findings[0].reason}"
        failure = ElementTree.SubElement(test, "failure", {"type": kind, "message": _xml(message)})
        failure.text = _xml("\n\n".join(map(as_text, findings)))
    if report.is_vacuous:
        test = ElementTree.SubElement(suite, "testcase", {"classname": report.policy, "name": "isolation"})
        ElementTree.SubElement(test, "error", {"type": "void", "message": _xml(verdict_line(report, None))})
    for proof in report.proofs:
        test = ElementTree.SubElement(suite, "testcase", {"classname": report.policy, "name": _xml(proof.claim)})
        ElementTree.SubElement(test, "system-out").text = _xml(
            "assumed: " + "; ".join(proof.assumed) + "; not proved: " + "; ".join(report.unproved)
        )
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text


def as_text(finding: VerificationFinding) -> str:
    """A finding as text, with its witness packet and the packet's path."""
    lines = [f"{finding.kind.value} in case {finding.case}: {finding.reason}", f"policy: {finding.source or 'no line'}"]
    if finding.site:
        mine, theirs = (f" (role {role})" if role else "" for role in finding.roles)
        to = finding.towards or "no site"
        lines.append(f"from {finding.site}{mine}, access link {finding.access_link}, to {to}{theirs}")
    if finding.where:
        lines.append(f"at {finding.where}")
    if finding.packet:
        lines += [f"packet: {in_words(finding.packet)}", f"scapy: {expression(finding.packet)}"]
    if finding.trace:
        lines += ["path:", f"{finding.trace}"]
    if finding.alike:
        lines.append(f"the same holds for {finding.alike} more {finding.alike_are}")
    return "\n".join(lines)


def _by_kind_and_case(findings: Iterable[VerificationFinding]) -> Mapping[tuple[str, str], list[VerificationFinding]]:
    found: dict[tuple[str, str], list[VerificationFinding]] = {}
    for finding in findings:
        found.setdefault((finding.kind.value, finding.case), []).append(finding)
    return found


def _properties(report: VerificationReport) -> dict[str, str]:
    flaws = Counter(finding.kind.value for finding in report.findings if not finding.is_violation)
    figures = {name: f"{value:g}" for name, value in report.figures.items()}
    return {"network": report.network, **{f"flaws.{kind}": str(count) for kind, count in flaws.items()}, **figures}


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 excludes (2.2)."""
    return "".join(each for each in text if each in "\t\n" or (each >= " " and not "\ud800" <= each <= "\udfff"))
