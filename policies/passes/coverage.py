"""Contracts and exceptions that open nothing on this network, or nothing that others do not open already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.schema import PolicySpec
from helsewan.policies.passes.membership import Clause, compile_clauses
from helsewan.policies.passes.selection import Population
from helsewan.policies.passes.selectors import granting
from helsewan.policies.passes.vpn_topologies import QuarantineGroup

_Opened = frozenset[tuple[int, int, str]]  # group of clients, group of servers, service
_APART = "same_region leaves no pair of sites"
_ALONE = "a site opens nothing to itself"


def check_coverage(
    spec: PolicySpec,
    clauses: Sequence[Clause],
    quarantines: Sequence[QuarantineGroup],
    population: Population,
    report: PolicyReport,
) -> None:
    """Report exceptions that can open nothing. Remark contracts that open nothing, what quarantines suspend, and
    contracts and exceptions that others cover."""
    opened = _opened(clauses)
    outside = {clause.path for clause in compile_clauses(spec, population, PolicyReport(report.document))}
    for path, entry in granting(spec):
        if opened.get(path) or not all(map(population.select, (entry.client, entry.server))):
            continue  # selectors without sites are reported by themselves
        if quarantines and path in outside and path not in {clause.path for clause in clauses}:
            report.remark(path, "opens nothing while its sites are in quarantine")
        elif set(entry.services) & set(spec.services):
            reason = f"opens nothing: {_APART if entry.same_region and path not in outside else _ALONE}"
            if path[0] == "exceptions":
                report.add(path, None, reason, "correct from, to or same_region, or remove it")
            else:
                report.remark(path, f"{reason} on this network")
    for covered, mine in opened.items():
        if mine and (wider := _wider(covered, mine, opened)):
            line = report.document.position(wider).line
            report.remark(covered, f"opens nothing more: {'.'.join(map(str, wider))} (line {line}) covers it here")


def _wider(path: Path, mine: _Opened, opened: dict[Path, _Opened]) -> Path | None:
    """The first contract that opens all that the entry at ``path`` does; of two alike, only the later is covered."""
    before = True
    for other, theirs in opened.items():
        if other == path:
            before = False
        elif other[0] == "contracts" and mine <= theirs and (before or mine < theirs or path[0] == "exceptions"):
            return other
    return None


def _opened(clauses: Sequence[Clause]) -> dict[Path, _Opened]:
    """For each entry with clauses, what it opens between two different sites, in the order of the file. Sites that all
    clauses treat alike form a group."""
    signatures: dict[str, list[int]] = defaultdict(list)
    for number, clause in enumerate(clauses):
        for place, sites in enumerate((clause.clients, clause.servers)):
            for site in sites:
                signatures[site].append(2 * number + place)
    numbers: dict[tuple[int, ...], int] = {}
    group = {site: numbers.setdefault(tuple(marks), len(numbers)) for site, marks in signatures.items()}
    sizes: dict[int, int] = defaultdict(int)
    for number in group.values():
        sizes[number] += 1
    found: dict[Path, set[tuple[int, int, str]]] = {}
    for clause in clauses:
        clients, servers = (_groups(group, sites) for sites in (clause.clients, clause.servers))
        found.setdefault(clause.path, set()).update(
            (client, server, service)
            for client in clients
            for server in servers
            if client != server or sizes[client] > 1
            for service in clause.services
        )
    return {path: frozenset(triples) for path, triples in found.items()}


def _groups(group: dict[str, int], sites: Iterable[str]) -> set[int]:
    return {group[site] for site in sites}
