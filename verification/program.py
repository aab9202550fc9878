"""A network's rules, made ready to be gone through by all packets at once."""

from __future__ import annotations

from collections.abc import Mapping

from controller.interpreter.packet import number
from controller.paths import Failures
from controller.pipeline import VLAN_PRESENT
from controller.rules import FlowRule, GroupRule, RuleSet, Table
from topology.model import TRUNK_PORT, Network
from verification.headers import Space, UnknownFieldError
from verification.needs import RouterNeeds, matched_fields
from verification.tables import Entry, TableEntries


class Program:
    """A network's rules, made ready: entries, groups, and what can matter where. ``space`` may be shared."""

    def __init__(self, network: Network, rules: Mapping[str, RuleSet], space: Space) -> None:
        self.network, self.space = network, space
        self.entries: dict[FlowRule, Entry] = {}
        self.unreadable: list[tuple[str, FlowRule]] = []
        keys: dict[tuple[tuple[str, int, int | None], ...], int] = {}
        self.tables: dict[str, dict[Table, TableEntries]] = {}
        self.groups: dict[str, dict[int, GroupRule]] = {}
        same: dict[int, Entry] = {}
        for router, held in rules.items():
            by_table: dict[Table, list[Entry]] = {}
            for rule in held.flows:
                entry = same.get(id(rule)) or self.entries.get(rule)
                if entry is None:
                    try:
                        entry = self.entries[rule] = Entry(rule, space, keys)
                    except (UnknownFieldError, ValueError):
                        self.unreadable.append((router, rule))
                        continue
                same[id(rule)] = entry
                by_table.setdefault(rule.table, []).append(entry)
            self.tables[router] = {table: TableEntries(each) for table, each in by_table.items()}
            self.groups[router] = {group.id: group for group in held.groups}
        matched = matched_fields(table for tables in self.tables.values() for table in tables.values())
        self.needs = {r: RouterNeeds(self.tables[r], self.groups[r], matched) for r in self.tables}
        self.links = {router: {port: link for link, port in ports.items()} for router, ports in network.ports.items()}
        self.sites = _sites_by_port(network)
        self.macs = {site.id: number(site.mac) for site in network.sites}
        self.index = {site.id: place for place, site in enumerate(network.sites)}
        things = [
            *(link.id for link in network.links),
            *sorted(each for lines in network.line_ports.values() for each in lines),
        ]
        self.bit = {thing: 1 << place for place, thing in enumerate(things)}
        self.line_at = {
            (router, port): self.bit[line]
            for router, lines in network.line_ports.items()
            for line, port in lines.items()
        }

    def bits_of(self, failures: Failures) -> int:
        """The links and lines that carry nothing then."""
        down = {link.id for link in self.network.links if {link.a, link.b} & failures.routers}
        return sum(self.bit[thing] for thing in down | failures.links | failures.lines)

    def port_bit(self, router: str, port: int) -> int:
        """What a port hangs on, as a bit; 0 for the trunk."""
        link = self.links[router].get(port)
        return self.line_at.get((router, port), 0) if link is None else self.bit[link]


def _sites_by_port(network: Network) -> dict[tuple[str, int, int], str]:
    own = {(router, port, 0): site for router, lines in network.line_ports.items() for (site, _), port in lines.items()}
    return own | {
        (access.router, TRUNK_PORT, access.vlan | VLAN_PRESENT): site.id
        for site in network.sites
        for access in site.accesses
        if len(site.accesses) == 1
    }
