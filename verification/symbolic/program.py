"""A network's rules, prepared for symbolic execution."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from helsewan.controller.openflow.entries import FlowRule, RuleSet, Table
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import TRUNK_PORT, Network
from helsewan.verification.concrete.packet import number
from helsewan.verification.symbolic.header_space import Space, UnknownFieldError
from helsewan.verification.symbolic.liveness import RouterLiveness, matched_fields
from helsewan.verification.symbolic.tables import Entry, TableEntries

_KNOWN_TABLES = frozenset(Table)
# Components beside tables: the first table for packets from links; groups, together with unknown tables.
_LINKS, _GROUPS = _OTHER_PARTS = ("links", "groups")


class Program:
    """A network's prepared rules: entries, groups, and liveness. ``space`` may be shared with other programs.

    ``bit`` numbers the components that a result can depend on: links, access links, and tables of routers."""

    def __init__(self, network: Network, rules: Mapping[str, RuleSet], space: Space) -> None:
        self.network, self.space = network, space
        self.unreadable: tuple[tuple[str, FlowRule], ...] = ()
        self._entries: dict[FlowRule, Entry] = {}
        self._keys: dict[tuple[tuple[str, int, int | None], ...], int] = {}
        self._same: dict[int, tuple[FlowRule, Entry]] = {}  # by id: the rule is kept alive, so its id stays unique
        self.tables: dict[str, dict[Table, TableEntries]] = {
            router: {table: TableEntries(each) for table, each in self._entries_of(router, ruleset).items()}
            for router, ruleset in rules.items()
        }
        self.groups = {router: {group.id: group for group in ruleset.groups} for router, ruleset in rules.items()}
        self._matched = matched_fields(table for tables in self.tables.values() for table in tables.values())
        self.liveness = {r: RouterLiveness(self.tables[r], self.groups[r], self._matched) for r in self.tables}
        self.links = {router: {port: link for link, port in ports.items()} for router, ports in network.ports.items()}
        self.sites = _sites_by_port(network)
        self.macs = {site.id: number(site.mac) for site in network.sites}
        self.index = {site.id: index for index, site in enumerate(network.sites)}
        components = [
            *(link.id for link in network.links),
            *sorted(each for access_links in network.access_link_ports.values() for each in access_links),
        ]
        parts = [(router, part) for router in sorted(rules) for part in (*Table, *_OTHER_PARTS)]
        self.bit = {component: 1 << index for index, component in enumerate([*components, *parts])}
        self.access_link_bits = {
            (router, port): self.bit[access_link]
            for router, access_links in network.access_link_ports.items()
            for access_link, port in access_links.items()
        }

    def _entries_of(self, router: str, ruleset: RuleSet) -> dict[Table, list[Entry]]:
        by_table: dict[Table, list[Entry]] = {}
        for rule in ruleset.flows:
            if (known := self._same.get(id(rule))) is None:
                try:
                    entry = self._entries.get(rule) or Entry(rule, self.space, self._keys)
                except (UnknownFieldError, ValueError):
                    self.unreadable += ((router, rule),)
                    continue
                self._entries[rule] = entry
                known = self._same[id(rule)] = rule, entry
            by_table.setdefault(rule.table, []).append(known[1])
        return by_table

    def with_rules(self, router: str, ruleset: RuleSet) -> tuple[Program, int] | None:
        """The program with other rules on one router, and the changed components as a bitmask. None if the new rules
        match fields that no rule has matched so far: then liveness has to be recomputed on all routers."""
        program, before, groups = copy(self), self.tables[router], {group.id: group for group in ruleset.groups}
        program.unreadable = tuple(each for each in self.unreadable if each[0] != router)
        tables = {
            table: before[table]
            if table in before and before[table].entries == tuple(entries)
            else TableEntries(entries)
            for table, entries in program._entries_of(router, ruleset).items()
        }
        program.tables = {**self.tables, router: tables}
        changed = program.changed_tables(self, router)
        if not matched_fields(tables[table] for table in changed if table in tables) <= self._matched:
            return None
        program.groups = {**self.groups, router: groups}
        is_same = groups == self.groups[router]
        known = self.liveness[router] if is_same else None
        program.liveness = {**self.liveness, router: RouterLiveness(tables, groups, self._matched, known, changed)}
        stale = 0 if is_same else self.groups_bit(router)
        for table in changed:
            old, new = (set(each[table].entries) if table in each else set() for each in (before, tables))
            for entry in old ^ new:
                stale |= self.table_bits(router, table, dict(entry.rule.match).get("in_port"))
        return program, stale

    def changed_tables(self, other: Program, router: str) -> set[Table]:
        """The tables of a router whose entries differ between two programs, one of them made from the other."""
        mine, theirs = self.tables[router], other.tables[router]
        return {table for table in {*mine, *theirs} if mine.get(table) is not theirs.get(table)}

    def table_bits(self, router: str, table: Table, port: object = None) -> int:
        """The components that packets at a table depend on, as a bitmask: those that came in by ``port``, or all."""
        if table is Table.ADMIT and not isinstance(port, int):
            return self.bit[router, Table.ADMIT] | self.bit[router, _LINKS]
        if table is Table.ADMIT and port in self.links[router]:
            return self.bit[router, _LINKS]
        return self.bit[router, table] if table in _KNOWN_TABLES else self.bit[router, _GROUPS]

    def groups_bit(self, router: str) -> int:
        """The bit of a router's groups."""
        return self.bit[router, _GROUPS]

    def failure_bits(self, failures: Failures) -> int:
        """The links and access links that are down under ``failures``, as a bitmask."""
        down = {link.id for link in self.network.links if {link.a, link.b} & failures.routers}
        return sum(self.bit[component] for component in down | failures.links | failures.access_links)

    def port_bit(self, router: str, port: int) -> int:
        """The bit of the link or access link behind a port; 0 for the trunk."""
        link = self.links[router].get(port)
        return self.access_link_bits.get((router, port), 0) if link is None else self.bit[link]


def _sites_by_port(network: Network) -> dict[tuple[object, ...], str]:
    """The site behind each router, port and VLAN tag."""
    found: dict[tuple[object, ...], str] = {
        (router, port, 0): site
        for router, access_links in network.access_link_ports.items()
        for (site, _), port in access_links.items()
    }
    return found | {
        (access.router, TRUNK_PORT, access.vlan | VLAN_PRESENT): site.id
        for site in network.sites
        for access in site.accesses
        if len(site.accesses) == 1
    }
