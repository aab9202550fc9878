"""Dead rules: entries that others shadow, and entries that no packet reaches."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.controller.openflow.entries import Table
from helsewan.controller.openflow.pipeline import Purpose
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import Finding, Kind
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor
from helsewan.verification.symbolic.tables import Entry

_ONLY_WHEN_BROKEN = frozenset({Table.CORE, Table.VPN, Table.OTHER_LINE})  # also for what is used under failures only

Use = tuple[str, int]  # a router, and an entry by its identity, which processes forked from one another share


class Uses:
    """Which entries match packets in any of the examined states of the network."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._taken: set[Use] = set()
        self._hidden: set[Use] = set()

    def note(self, machine: SymbolicExecutor) -> None:
        """What is used in one state."""
        for node in machine.nodes.values():
            self._taken.update((node.router, id(entry)) for _, entry in node.edges)
            self._hidden.update((node.router, id(entry)) for entry in node.hidden)

    @property
    def known(self) -> tuple[set[Use], set[Use]]:
        """What takes packets, and what would but for others."""
        return self._taken, self._hidden

    def add(self, taken: set[Use], hidden: set[Use]) -> None:
        """What another has noted."""
        self._taken |= taken
        self._hidden |= hidden

    def flaws(self, complete: bool) -> Iterator[Finding]:
        """Entries without a use, by router and table; ``complete``: failures were gone through, too, without which
        nothing is said of tables that repairs need. What drops packets is there in case, and is no flaw."""
        found: dict[tuple[Kind, str, Table], list[Entry]] = {}
        for router, held in self._program.tables.items():
            for table, entries in held.items():
                if entries.is_uniform or (table in _ONLY_WHEN_BROKEN and not complete):
                    continue
                for entry in entries.entries:
                    if (router, id(entry)) not in self._taken and entry.rule.cookie >> 56 != Purpose.DROP:
                        kind = Kind.SHADOWED if (router, id(entry)) in self._hidden else Kind.UNREACHED
                        found.setdefault((kind, router, table), []).append(entry)
        for (kind, router, _), unused in found.items():
            says = "others before it take all its packets" if kind is Kind.SHADOWED else "no packet comes to it"
            where = f"{router}: {unused[0].rule}"
            yield Finding(kind, INTACT.name, says, "", where=where, alike=len(unused) - 1)
