"""Entries that do nothing: those that others before them hide, and those that no packet comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.pipeline import Purpose
from controller.rules import Table
from verification.failures import INTACT
from verification.findings import Finding, Kind
from verification.machine import Machine
from verification.program import Program
from verification.tables import Entry

_ONLY_WHEN_BROKEN = frozenset({Table.CORE, Table.VPN, Table.OTHER_LINE})  # also for what is used under failures only


def flaws(program: Program, machines: Iterable[Machine], complete: bool) -> Iterator[Finding]:
    """Entries without a use in any of the states gone through, by router and table; ``complete``: these include
    failures, without which nothing is said of tables that repairs need. What drops packets is there in case, and is no
    flaw."""
    taken: set[tuple[str, Entry]] = set()
    hidden: set[tuple[str, Entry]] = set()
    for machine in machines:
        for node in machine.nodes.values():
            taken.update((node.router, entry) for _, entry in node.edges)
            hidden.update((node.router, entry) for entry in node.hidden)
    found: dict[tuple[Kind, str, Table], list[Entry]] = {}
    for router, held in program.tables.items():
        for table, entries in held.items():
            if entries.is_uniform or (table in _ONLY_WHEN_BROKEN and not complete):
                continue
            for entry in entries.entries:
                if (router, entry) not in taken and entry.rule.cookie >> 56 != Purpose.DROP:
                    kind = Kind.SHADOWED if (router, entry) in hidden else Kind.UNREACHED
                    found.setdefault((kind, router, table), []).append(entry)
    for (kind, router, _), entries_ in found.items():
        says = "others before it take all its packets" if kind is Kind.SHADOWED else "no packet comes to it"
        where = f"{router}: {entries_[0].rule}"
        yield Finding(kind, INTACT.name, says, "", where=where, alike=len(entries_) - 1)
