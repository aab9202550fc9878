"""The effect of a network's rules on all packets from each access link, as relations of packets, ends and marks."""

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

# The longest path that is followed, in routers, and the depth of nested calls for each router on it.
MAX_ROUTERS, CALLS_PER_ROUTER = 120, 25


class Static:
    """A network's rules and what they do to all packets, computed on demand. ``down`` has failed already: results for
    further failures are computed from those under these."""

    def __init__(self, network: Network, rules: Mapping[str, RuleSet], down: Failures | None = None) -> None:
        self.network, self.rules, self.down = network, rules, down or Failures()
        self.space = Space()
        self.program = Program(network, rules, self.space)
        self.executor = SymbolicExecutor(self.program, self.program.failure_bits(self.down))
        self._labels: dict[TableEntries | None, bool] = {}

    @cached_property
    def access_links(self) -> tuple[AccessLinkId, ...]:
        """All access links, as site and number."""
        return tuple((site.id, number) for site in self.network.sites for number in range(len(site.accesses)))

    def own_port(self, access_link: AccessLinkId) -> int | None:
        """The router port of an access link; None if it is on the router's trunk."""
        return self.network.access_link_ports[self.router_of(access_link)].get(access_link)

    def router_of(self, access_link: AccessLinkId) -> str:
        """The router at the end of an access link."""
        return self.network.site[access_link[0]].accesses[access_link[1]].router

    def roots(self, access_link: AccessLinkId, executor: SymbolicExecutor | None = None) -> list[tuple[Set, Node]]:
        """The nodes at which packets from an access link enter, and which packets enter at each."""
        with _deep_calls():
            return list(self._roots(access_link, executor))

    def _roots(self, access_link: AccessLinkId, executor: SymbolicExecutor | None) -> Iterator[tuple[Set, Node]]:
        executor, router = executor or self.executor, self.router_of(access_link)
        port = self.own_port(access_link)
        access = self.network.site[access_link[0]].accesses[access_link[1]]
        fields: dict[str, object] = {"in_port": port or TRUNK_PORT}
        if not port:
            fields["vlan_vid"] = access.vlan | VLAN_PRESENT
        values = tuple(sorted(fields.items()))
        labelled = self.space.equal("eth_type", MPLS)
        yield ~labelled, executor.node(router, Table.ADMIT, State(values))
        if self.admits_labels(executor.program, router):
            for depth in range(1, SENT_LABELS + 1):
                stack: tuple[LabelEntry, ...] = tuple(
                    ((SENT, index), (SENT, index, 3)) for index in reversed(range(depth))
                )
                node = executor.node(router, Table.ADMIT, State(values, stack))
                yield labelled & self.space.equal("labels", depth), node

    def is_changed(self, access_link: AccessLinkId, executor: SymbolicExecutor) -> bool:
        """Whether packets from an access link enter at other nodes than in the intact network with its present
        rules."""
        nodes, others = ([node for _, node in self.roots(access_link, each)] for each in (self.executor, executor))
        return len(nodes) != len(others) or any(a is not b for a, b in zip(nodes, others, strict=True))

    def admits_labels(self, program: Program, router: str) -> bool:
        """Whether a router has an entry that affects a labelled packet from a site. Cached by table."""
        table = program.tables[router].get(Table.ADMIT)
        if table not in self._labels:
            self._labels[table] = table is not None and any(
                (entry.rule.actions or entry.rule.goto is not None)
                and _may_be_labelled(entry.rule, program.links[router])
                for entry in table.entries
            )
        return self._labels[table]

    def outcomes(self, access_link: AccessLinkId, executor: SymbolicExecutor | None = None) -> Set:
        """The outcomes of all packets from an access link, as a relation of packets, ends and marks."""
        return self.space.any_of(subset & node.result.out for subset, node in self.roots(access_link, executor))

    def delivered(self, access_link: AccessLinkId, towards: str) -> Set:
        """Exactly the packets from an access link that are delivered to a site, as they were sent."""
        return self.space.packets(self.outcomes(access_link) & self.space.out(self.program.index[towards]))

    def outcome(self, site: str, access_link: int, packet: Packet) -> tuple[int, ...]:
        """The ends of one packet: numbers of sites in the network's order, or of `states.FAULTS`; empty if dropped."""
        return self.space.ends(self.outcomes((site, access_link)) & self.space.of(packet))

    def with_failures(self, failures: Failures) -> SymbolicExecutor:
        """The executor of the same rules under ``failures`` and no others, which include those of `down`."""
        return SymbolicExecutor(self.program, self.program.failure_bits(failures), self.executor)


@contextmanager
def _deep_calls() -> Iterator[None]:
    """Raises Python's recursion limit to what paths of ``MAX_ROUTERS`` routers need."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, MAX_ROUTERS * CALLS_PER_ROUTER))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _may_be_labelled(rule: FlowRule, link_ports: Container[object]) -> bool:
    match = dict(rule.match)
    eth_type = match.get("eth_type", MPLS)
    return match.get("in_port") not in link_ports and (eth_type == MPLS or isinstance(eth_type, tuple))
