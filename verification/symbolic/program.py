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

_OURS = frozenset(Table)
# The first table as packets from fibres meet it; groups, and tables that others put there.
_FIBRES, _GROUPS = _OTHER_SIDES = ("fibres", "groups")


class Program:
    """A network's prepared rules: entries, groups, and what can matter where. ``space`` may be shared."""

    def __init__(self, network: Network, rules: Mapping[str, RuleSet], space: Space) -> None:
        self.network, self.space = network, space
        self.unreadable: tuple[tuple[str, FlowRule], ...] = ()
        self._entries: dict[FlowRule, Entry] = {}
        self._keys: dict[tuple[tuple[str, int, int | None], ...], int] = {}
        self._same: dict[int, tuple[FlowRule, Entry]] = {}  # a rule that is kept keeps its id
        self.tables: dict[str, dict[Table, TableEntries]] = {
            router: {table: TableEntries(each) for table, each in self._entries_of(router, held).items()}
            for router, held in rules.items()
        }
        self.groups = {router: {group.id: group for group in held.groups} for router, held in rules.items()}
        self._matched = matched_fields(table for tables in self.tables.values() for table in tables.values())
        self.needs = {r: RouterLiveness(self.tables[r], self.groups[r], self._matched) for r in self.tables}
        self.links = {router: {port: link for link, port in ports.items()} for router, ports in network.ports.items()}
        self.sites = _sites_by_port(network)
        self.macs = {site.id: number(site.mac) for site in network.sites}
        self.index = {site.id: place for place, site in enumerate(network.sites)}
        things = [
            *(link.id for link in network.links),
            *sorted(each for lines in network.access_link_ports.values() for each in lines),
        ]
        sides = [(router, side) for router in sorted(rules) for side in (*Table, *_OTHER_SIDES)]
        self.bit = {thing: 1 << place for place, thing in enumerate([*things, *sides])}
        self.line_at = {
            (router, port): self.bit[line]
            for router, lines in network.access_link_ports.items()
            for line, port in lines.items()
        }

    def _entries_of(self, router: str, held: RuleSet) -> dict[Table, list[Entry]]:
        by_table: dict[Table, list[Entry]] = {}
        for rule in held.flows:
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

    def having(self, router: str, held: RuleSet) -> tuple[Program, int] | None:
        """The program with other rules on one router, and what hangs on those that differ, as bits; None where so much
        else hangs on them that all is to be made ready anew."""
        changed, before, groups = copy(self), self.tables[router], {group.id: group for group in held.groups}
        changed.unreadable = tuple(each for each in self.unreadable if each[0] != router)
        tables = {
            table: before[table]
            if table in before and before[table].entries == tuple(entries)
            else TableEntries(entries)
            for table, entries in changed._entries_of(router, held).items()
        }
        changed.tables = {**self.tables, router: tables}
        differ = changed.differing(self, router)
        if not matched_fields(tables[table] for table in differ if table in tables) <= self._matched:
            return None
        changed.groups = {**self.groups, router: groups}
        is_same = groups == self.groups[router]
        known = self.needs[router] if is_same else None
        changed.needs = {**self.needs, router: RouterLiveness(tables, groups, self._matched, known, differ)}
        stale = 0 if is_same else self.groups_of(router)
        for table in differ:
            old, new = (set(each[table].entries) if table in each else set() for each in (before, tables))
            for entry in old ^ new:
                stale |= self.side(router, table, dict(entry.rule.match).get("in_port"))
        return changed, stale

    def differing(self, other: Program, router: str) -> set[Table]:
        """The tables of a router that hold other entries in another program, one of which was made of the other."""
        mine, theirs = self.tables[router], other.tables[router]
        return {table for table in {*mine, *theirs} if mine.get(table) is not theirs.get(table)}

    def side(self, router: str, table: Table, port: object = None) -> int:
        """What packets at a table hang on that came in by a port, as bits; without a port, by any."""
        if table is Table.ADMIT and not isinstance(port, int):
            return self.bit[router, Table.ADMIT] | self.bit[router, _FIBRES]
        if table is Table.ADMIT and port in self.links[router]:
            return self.bit[router, _FIBRES]
        return self.bit[router, table] if table in _OURS else self.bit[router, _GROUPS]

    def groups_of(self, router: str) -> int:
        """What the packets at a router's groups hang on, as a bit."""
        return self.bit[router, _GROUPS]

    def bits_of(self, failures: Failures) -> int:
        """The links and lines that carry nothing then."""
        down = {link.id for link in self.network.links if {link.a, link.b} & failures.routers}
        return sum(self.bit[thing] for thing in down | failures.links | failures.access_links)

    def port_bit(self, router: str, port: int) -> int:
        """What a port hangs on, as a bit; 0 for the trunk."""
        link = self.links[router].get(port)
        return self.line_at.get((router, port), 0) if link is None else self.bit[link]


def _sites_by_port(network: Network) -> dict[tuple[object, ...], str]:
    """The site that is reached from a router, out of a port, with a tag."""
    found: dict[tuple[object, ...], str] = {
        (router, port, 0): site
        for router, lines in network.access_link_ports.items()
        for (site, _), port in lines.items()
    }
    return found | {
        (access.router, TRUNK_PORT, access.vlan | VLAN_PRESENT): site.id
        for site in network.sites
        for access in site.accesses
        if len(site.accesses) == 1
    }
