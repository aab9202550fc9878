"""The pass over exceptions: which of them are in force at a given time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.language.schema import ExceptionSpec, PolicySpec
from helsewan.policies.language.timestamps import shown
from helsewan.policies.passes.membership import Clause
from helsewan.policies.plan import ExceptionState, TimedException


def compile_exceptions(spec: PolicySpec, now: datetime | None, report: PolicyReport) -> tuple[TimedException, ...]:
    """All exceptions with their status at ``now``; if that is None, none is in force."""
    for name, entry in spec.exceptions.items():
        at = ("exceptions", name)
        if entry.begins is not None and entry.begins.begins >= entry.until.ends:
            ends = shown(entry.until.ends)
            report.add((*at, "until"), None, f"ends at {ends}, not after it begins", "write a later until")
        if name in spec.contracts:
            hint, other = "these names identify rules and counters", [("contracts", name)]
            report.add(at, None, "has the name of a contract", hint, other)
    return tuple(_timed(spec, now, report))


def _timed(spec: PolicySpec, now: datetime | None, report: PolicyReport) -> Iterator[TimedException]:
    for name, entry in spec.exceptions.items():
        begins = None if entry.begins is None else entry.begins.begins
        source = report.source(("exceptions", name))
        yield TimedException(name, entry.reason, source, begins, entry.until.ends, _state(entry, now))


def _state(entry: ExceptionSpec, now: datetime | None) -> ExceptionState:
    if now is None:
        return ExceptionState.LEFT_OUT
    if now >= entry.until.ends:
        return ExceptionState.ENDED
    if entry.begins is not None and now < entry.begins.begins:
        return ExceptionState.NOT_BEGUN
    return ExceptionState.IN_FORCE


def in_force(clauses: Iterable[Clause], exceptions: Iterable[TimedException]) -> tuple[Clause, ...]:
    """The clauses of contracts, and of the exceptions that are in force."""
    now = {each.name for each in exceptions if each.state is ExceptionState.IN_FORCE}
    return tuple(clause for clause in clauses if clause.section == "contracts" or clause.name in now)
