"""What a network's rules do to all packets from each access link, as relations of packets, ends and marks."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from helsewan.controller.openflow.entries import MPLS, FlowRule, RuleSet, Table
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import TRUNK_PORT, AccessLinkId, Network
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.symbolic.header_space import SENT_LABELS, Set, Space
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.states import SENT, LabelEntry, Node, State
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor
from helsewan.verification.symbolic.tables import TableEntries

# Routers that packets are followed through, one after the other, and the functions called one in the other for each.
MOST_ROUTERS, CALLS_A_ROUTER = 120, 25


class Static:
    """A network's rules and what they do to all packets, computed on demand."""

    def __init__(self, network: Network, rules: Mapping[str, RuleSet]) -> None:
        self.network, self.rules = network, rules
        self.space = Space()
        self.program = Program(network, rules, self.space)
        self.machine = SymbolicExecutor(self.program)
        self._labels: dict[TableEntries | None, bool] = {}

    @cached_property
    def lines(self) -> tuple[AccessLinkId, ...]:
        """All access lines: site and number."""
        return tuple((site.id, number) for site in self.network.sites for number in range(len(site.accesses)))

    def own_port(self, line: AccessLinkId) -> int | None:
        """The port of a line that is not on its router's trunk."""
        return self.network.access_link_ports[self.router_of(line)].get(line)

    def router_of(self, line: AccessLinkId) -> str:
        """The router that a line leads to."""
        return self.network.site[line[0]].accesses[line[1]].router

    def roots(self, line: AccessLinkId, machine: SymbolicExecutor | None = None) -> list[tuple[Set, Node]]:
        """The nodes at which packets from an access link enter, and which packets enter at each."""
        with _deep_calls():
            return list(self._roots(line, machine))

    def _roots(self, line: AccessLinkId, machine: SymbolicExecutor | None) -> Iterator[tuple[Set, Node]]:
        machine, router = machine or self.machine, self.router_of(line)
        port = self.own_port(line)
        access = self.network.site[line[0]].accesses[line[1]]
        notes: dict[str, object] = {"in_port": port or TRUNK_PORT}
        if not port:
            notes["vlan_vid"] = access.vlan | VLAN_PRESENT
        noted = tuple(sorted(notes.items()))
        labelled = self.space.equal("eth_type", MPLS)
        yield ~labelled, machine.node(router, Table.ADMIT, State(noted))
        if self.lets_labels_in(machine.program, router):
            for depth in range(1, SENT_LABELS + 1):
                stack: tuple[LabelEntry, ...] = tuple(
                    ((SENT, place), (SENT, place, 3)) for place in reversed(range(depth))
                )
                node = machine.node(router, Table.ADMIT, State(noted, stack))
                yield labelled & self.space.equal("labels", depth), node

    def differs(self, line: AccessLinkId, machine: SymbolicExecutor) -> bool:
        """Whether what a line brings comes to other nodes than it does by the rules as they are."""
        nodes, others = ([node for _, node in self.roots(line, each)] for each in (self.machine, machine))
        return len(nodes) != len(others) or any(a is not b for a, b in zip(nodes, others, strict=True))

    def lets_labels_in(self, program: Program, router: str) -> bool:
        """Whether a router has an entry that could do anything to a labelled packet from a site. Found out once for
        each table."""
        table = program.tables[router].get(Table.ADMIT)
        if table not in self._labels:
            self._labels[table] = table is not None and any(
                (entry.rule.actions or entry.rule.goto is not None)
                and _may_be_labelled(entry.rule, program.links[router])
                for entry in table.entries
            )
        return self._labels[table]

    def became(self, line: AccessLinkId, machine: SymbolicExecutor | None = None) -> Set:
        """What becomes of all that a line can bring: a relation of packets, ends and marks."""
        return self.space.any_of(those & node.result.out for those, node in self.roots(line, machine))

    def delivered(self, line: AccessLinkId, towards: str) -> Set:
        """Exactly those packets from a line that are delivered to a site, as they were sent."""
        return self.space.packets(self.became(line) & self.space.out(self.program.index[towards]))

    def outcome(self, site: str, line: int, packet: Packet) -> tuple[int, ...]:
        """Where one packet ends: numbers of sites in the network's order, or of `states.FAULTS`; none if dropped."""
        return self.space.ends(self.became((site, line)) & self.space.of(packet))

    def during(self, failures: Failures) -> SymbolicExecutor:
        """The same rules while something has failed."""
        return SymbolicExecutor(self.program, self.program.bits_of(failures), self.machine)


@contextmanager
def _deep_calls() -> Iterator[None]:
    """Meanwhile Python's call depth suffices for packets that pass through ``MOST_ROUTERS`` routers."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, MOST_ROUTERS * CALLS_A_ROUTER))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _may_be_labelled(rule: FlowRule, fibres: Container[object]) -> bool:
    match = dict(rule.match)
    kind = match.get("eth_type", MPLS)
    return match.get("in_port") not in fibres and (kind == MPLS or isinstance(kind, tuple))
