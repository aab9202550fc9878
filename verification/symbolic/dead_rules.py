"""Dead rules: entries that others shadow, and entries that no packet reaches."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.controller.openflow.entries import Table
from helsewan.controller.openflow.pipeline import Purpose
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.states import Node
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor
from helsewan.verification.symbolic.tables import Entry

_FAILURE_TABLES = frozenset(
    {Table.CORE, Table.VPN, Table.OTHER_LINE}
)  # with entries that match packets under failures only

EntryKey = tuple[str, int]  # a router, and the id of an entry, which is the same in forked processes


class RuleUsage:
    """Which entries match packets in any of the examined states of the network."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._matched: set[EntryKey] = set()
        self._shadowed: set[EntryKey] = set()
        self._noted: dict[int, Node] = {}  # by id; the nodes are kept alive, so their ids stay unique

    def note(self, executor: SymbolicExecutor) -> None:
        """Adds the entries used in one state of the network."""
        for node in executor.nodes.values():
            if id(node) in self._noted:  # one of the intact network, that a failure has not changed
                continue
            self._noted[id(node)] = node
            self._matched.update((node.router, id(entry)) for _, entry in node.edges)
            self._shadowed.update((node.router, id(entry)) for entry in node.shadowed)

    @property
    def known(self) -> tuple[set[EntryKey], set[EntryKey]]:
        """The entries that match packets, and those that would without entries of higher priority."""
        return self._matched, self._shadowed

    def add(self, matched: set[EntryKey], shadowed: set[EntryKey]) -> None:
        """Adds what another usage knows (see `known`)."""
        self._matched |= matched
        self._shadowed |= shadowed

    def dead_rules(self, complete: bool) -> Iterator[VerificationFinding]:
        """Unused entries, grouped by router and table. Unless ``complete``, that is, failures were examined too, tables
        that serve failures are left out. Entries that drop packets are a safeguard, and are never reported."""
        found: dict[tuple[FindingKind, str, Table], list[Entry]] = {}
        for router, tables in self._program.tables.items():
            for table, entries in tables.items():
                if entries.is_uniform or (table in _FAILURE_TABLES and not complete):
                    continue
                for entry in entries.entries:
                    if (router, id(entry)) not in self._matched and entry.rule.cookie >> 56 != Purpose.DROP:
                        kind = FindingKind.SHADOWED if (router, id(entry)) in self._shadowed else FindingKind.UNREACHED
                        found.setdefault((kind, router, table), []).append(entry)
        for (kind, router, _), unused in found.items():
            reason = (
                "all its packets match entries of higher priority"
                if kind is FindingKind.SHADOWED
                else "no packet reaches it"
            )
            where = f"{router}: {unused[0].rule}"
            yield VerificationFinding(kind, INTACT.name, reason, "", where=where, alike=len(unused) - 1)
