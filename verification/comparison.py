"""Compares what rules do to all packets with what the policy expects, access link by access link.

Both are relations (`symbolic.static_model` and `expected.expected_sets`): where they are the same node of one decision
diagram, all packets from the access link conform to the policy. In a failure case only the transitions that depend on a
failed component are examined again: if each has the same result, except for sites that are disconnected, then so has
every path that leads to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from helsewan.controller.openflow.entries import Group, Output, Resubmit, RuleSet, Table
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan
from helsewan.topology.model import TRUNK_PORT, AccessLinkId
from helsewan.verification.expected.expected_sets import Expectation
from helsewan.verification.failures import INTACT, components, cut_off, examined
from helsewan.verification.findings import (
    IN_EVERY_CASE,
    FailureCase,
    FindingKind,
    IsolationProof,
    VerificationFinding,
    VerificationReport,
)
from helsewan.verification.local.switch_state import faults, not_examined
from helsewan.verification.reports.differences import Differences, Key, SwitchesWhenNeeded, merged
from helsewan.verification.shares import PartialResult, Share, are_many, results, shares_of_cases
from helsewan.verification.symbolic.dead_rules import RuleUsage
from helsewan.verification.symbolic.header_space import Set
from helsewan.verification.symbolic.policers import unpoliced
from helsewan.verification.symbolic.states import ANSWERED, Node, Transition
from helsewan.verification.symbolic.static_model import MAX_ROUTERS, Static
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor

ASSUMED = (
    "the TTL of a packet suffices for its path, and the packet fits the MTU of the access links of its destination",
    "each site uses the MAC address of its gateway, and answers for its own",
    "the carrier of every port shows the failures behind it, and nothing else has failed",
    "meters pass every packet",
    "links and switches neither modify packets nor originate any",
)


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What happens to packets on the router of their own access link: the tables they reach, by router, and each action
    that forwards them, with the largest set of packets it can apply to, by the components it depends on."""

    tables: frozenset[tuple[str, Table]]
    transitions: Mapping[int, Sequence[tuple[Set, Transition]]]

    def depending_on(self, components: int) -> Iterator[tuple[Set, Transition]]:
        """The transitions that depend on any of ``components``, a bitmask (see `Program.bit`)."""
        return (pair for mask, each in self.transitions.items() if mask & components for pair in each)


class Verification:
    """Compares rules with a policy, for all access links or some of them."""

    def __init__(self, plan: Plan, static: Static, access_links: Sequence[AccessLinkId] | None = None) -> None:
        self.plan, self.static, self.space = plan, static, static.space
        self.access_links = static.access_links if access_links is None else access_links
        self.expectation = Expectation(plan, self.space)
        self.differences = Differences(plan, SwitchesWhenNeeded(static.rules), self.expectation)

    def run(self, cases: Sequence[FailureCase], workers: int = 1) -> VerificationReport:
        """The report on all cases, policers and dead rules, by ``workers`` processes."""
        parts = self._parts(cases, workers)
        static, usage = self.static, RuleUsage(self.static.program)
        for each in parts:
            usage.add(*each.uses)
        order = {access_link: index for index, access_link in enumerate(self.access_links)}
        findings = [
            *merged([each.findings for each in parts], order),
            *self.differences.unreadable(static.program.unreadable),
            *unpoliced(self.plan, static.program, static.rules),
            *faults(self.plan, static),
            *usage.dead_rules(complete=any(case.failures.links for case in cases)),
        ]
        figures = {
            "intact_s": max(each.intact_s for each in parts),
            "failures_s": max(each.failures_s for each in parts),
            "entries": sum(map(len, static.rules.values())),
            "nodes": sum(each.nodes for each in parts),
            "cases": len(cases),
        }
        left = {case.name: examined(self.plan.network, case.failures) for case in cases}
        return VerificationReport(
            self.plan.policy,
            self.plan.network.name,
            tuple(findings),
            self.proofs(left, findings),
            figures,
            tuple(name for name, (_, pairs) in left.items() if not pairs),
            not_examined(static.rules),
        )

    def _parts(self, cases: Sequence[FailureCase], workers: int) -> list[PartialResult]:
        """The results of all cases. Workers share the access links, or the cases where there are many: then the network
        as it stands is followed once, before they are forked, and none repeats what others do of the core."""
        if workers < 2:
            return [self.partial_result(cases)]
        if not are_many(cases, workers):
            return results(self, [Share(access_links, cases) for access_links in self._shares(workers)])
        first = self.standing(cases)
        further = (case for case in cases if case.failures != self.static.down)
        return [first, *results(self, shares_of_cases(further, workers, first.is_clean))]

    def of_share(self, share: Share) -> PartialResult:
        """The result of a share of this verification."""
        if share.access_links is None:
            return self.under_failures(share.cases, share.is_clean)
        return Verification(self.plan, self.static, share.access_links).partial_result(share.cases)

    def _shares(self, workers: int) -> list[list[AccessLinkId]]:
        """The access links for each of ``workers``. Those of one router stay together, since their paths overlap."""
        by_router: dict[str, list[AccessLinkId]] = {}
        for access_link in self.access_links:
            by_router.setdefault(self.static.router_of(access_link), []).append(access_link)
        shares: list[list[AccessLinkId]] = [[] for _ in range(min(workers, len(by_router)))]
        for access_links in sorted(by_router.values(), key=len, reverse=True):
            min(shares, key=len).extend(access_links)
        return shares

    def partial_result(self, cases: Sequence[FailureCase]) -> PartialResult:
        """The result for the access links of this verification, in all cases."""
        first = self.standing(cases)
        rest = self.under_failures([case for case in cases if case.failures != self.static.down], first.is_clean)
        uses = first.uses[0] | rest.uses[0], first.uses[1] | rest.uses[1]
        return replace(first, findings=first.findings | rest.findings, uses=uses, failures_s=rest.failures_s)

    def standing(self, cases: Sequence[FailureCase]) -> PartialResult:
        """The result in the network as it stands, if that is one of the cases; prepares what others are compared
        with."""
        static, usage, began = self.static, RuleUsage(self.static.program), time.perf_counter()
        found: dict[Key, VerificationFinding] = {}
        is_clean = False
        for case in (case for case in cases if case.failures == static.down):
            found |= self._or_unmodelled(case, partial(self.check_case, case, static.executor, False))
            is_clean = not found and not static.program.unreadable
        if is_clean and len(cases) > 1:
            _ = self.first_steps
        usage.note(static.executor)
        seconds = time.perf_counter() - began
        return PartialResult(found, usage.known, len(static.executor.nodes), intact_s=seconds, is_clean=is_clean)

    def under_failures(self, cases: Sequence[FailureCase], is_clean: bool) -> PartialResult:
        """The result in cases of further failures; ``is_clean``: the network as it stands has no findings."""
        static, usage, began = self.static, RuleUsage(self.static.program), time.perf_counter()
        found: dict[Key, VerificationFinding] = {}
        clean: set[Failures] = set()  # a PoP often has one router only, so that both fail alike
        for case in cases:
            if case.failures in clean:
                continue
            executor = static.with_failures(case.failures)
            defects = self._or_unmodelled(case, partial(self.check_case, case, executor, is_clean))
            usage.note(executor)
            if not defects:
                clean.add(case.failures)
            found |= defects
        return PartialResult(found, usage.known, failures_s=time.perf_counter() - began)

    def intact(self) -> list[VerificationFinding]:
        """The findings in the intact network."""
        unreadable = self.differences.unreadable(self.static.program.unreadable)
        found = self._or_unmodelled(INTACT, partial(self.compare, INTACT, self.static.executor, self.access_links))
        return [*found.values(), *unreadable]

    def _or_unmodelled(
        self, case: FailureCase, check: Callable[[], dict[Key, VerificationFinding]]
    ) -> dict[Key, VerificationFinding]:
        """The findings of ``check``; where a path exceeds the depth that can be followed, one finding that says so."""
        try:
            return check()
        except RecursionError:
            reason = f"a path has more than {MAX_ROUTERS} routers: nothing is proved"
            finding = VerificationFinding(FindingKind.UNMODELLED, case.name, reason, "", where="rules")
            return {(case.name, FindingKind.UNMODELLED, -1, -1): finding}

    @cached_property
    def first_steps(self) -> FirstSteps:
        """What happens to packets between an access link and the first link, or another access link of the router."""
        static, tables = self.static, set[tuple[str, Table]]()
        found: dict[tuple[object, ...], tuple[Set, Transition]] = {}
        seen: set[int] = set()
        left = [node for access_link in self.access_links for _, node in static.roots(access_link)]
        while left:
            node = left.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            tables.add((node.router, node.table))
            left += node.successors
            for packets, transition in node.transitions:
                if any(isinstance(action, Output | Group | Resubmit) for action in transition.effect[0]):
                    live = static.program.liveness[transition.router].before_effect(transition.effect)
                    state = static.executor.restricted(transition.state, live)
                    key = transition.router, transition.table, transition.effect, state
                    others, known = found.get(key, (static.space.none, transition))
                    found[key] = others | packets, known
        by_mask: dict[int, list[tuple[Set, Transition]]] = {}
        for packets, transition in found.values():
            by_mask.setdefault(transition.result.depends_on, []).append((packets, transition))
        return FirstSteps(frozenset(tables), by_mask)

    def compare(
        self,
        case: FailureCase,
        executor: SymbolicExecutor,
        access_links: Iterable[AccessLinkId],
        reachable: Mapping[str, Set] | None = None,
        differences: Differences | None = None,
    ) -> dict[Key, VerificationFinding]:
        """The differences between actual and expected outcomes, access link by access link. ``reachable``, by router,
        is every outcome but those at sites that are disconnected from it."""
        answered, found = self.space.out(ANSWERED), (differences or self.differences).of(case)
        for access_link in access_links:
            site = self.plan.network.site[access_link[0]]
            expected = self.expectation.of_access_link(site, self.static.own_port(access_link) is not None)
            if reachable:
                expected &= reachable[self.static.router_of(access_link)]
            actual = self.static.outcomes(access_link, executor) & ~answered & self.expectation.in_scope
            expected &= self.expectation.in_scope
            if actual != expected:
                found.add(access_link, actual, expected)
        return found.findings()

    def check_case(
        self, case: FailureCase, executor: SymbolicExecutor, is_clean: bool
    ) -> dict[Key, VerificationFinding]:
        """The findings in a case. If ``is_clean``, the network as it stands has none, and a case in which every
        affected transition has an equivalent result has none either."""
        network, failed = self.plan.network, case.failures
        outside = {number: self.expectation.not_ending_at(sites) for number, sites in cut_off(network, failed).items()}
        reachable = {router: outside[number] for router, number in components(network, failed).items()}
        if is_clean and all(
            self._is_equivalent(packets, transition, executor, reachable[transition.router])
            for packets, transition in self.first_steps.depending_on(executor.stale)
            if transition.router in reachable
        ):
            return {}
        access_links = [
            access_link
            for access_link in self.access_links
            if access_link not in failed.access_links and self.static.router_of(access_link) in reachable
        ]
        return self.compare(case, executor, access_links, reachable)

    def _is_equivalent(self, packets: Set, transition: Transition, executor: SymbolicExecutor, reachable: Set) -> bool:
        """Whether the packets of a transition still end where they did, but for those to disconnected sites."""
        now = before = transition.result.out
        if not executor.holds(transition.result):
            now = executor.execute(transition.router, transition.table, transition.effect, transition.state).out
        if now == before and reachable == self.space.all:
            return True
        in_scope = packets & self.expectation.in_scope
        return bool(now & in_scope == before & in_scope & reachable)

    def after_change(self, router: str, rules: RuleSet) -> list[VerificationFinding]:
        """The findings in the intact network once one router has other rules. The network must have none with the
        present rules: only what the change affects is examined. Policers and dead rules are not."""
        static = self.static
        if (changed := static.program.with_rules(router, rules)) is None:
            return Verification(self.plan, Static(static.network, {**static.rules, router: rules})).intact()
        program, stale = changed
        executor = SymbolicExecutor(program, base=static.executor, changed=stale)
        differences = self.differences.having(router, rules)
        found = self._or_unmodelled(INTACT, partial(self._check_change, router, executor, differences))
        return [*found.values(), *differences.unreadable(program.unreadable)]

    def _check_change(
        self, router: str, executor: SymbolicExecutor, differences: Differences
    ) -> dict[Key, VerificationFinding]:
        """The findings for packets whose outcome changes once one router has other rules."""
        if self._is_unaffected(router, executor):
            return {}
        static, stale, everything = self.static, executor.stale, self.space.all
        affected = {
            transition.router
            for packets, transition in self.first_steps.depending_on(stale)
            if not self._is_equivalent(packets, transition, executor, everything)
        }
        own_tables = (table for at, table in self.first_steps.tables if at == router)
        if any(stale & executor.program.table_bits(router, table, TRUNK_PORT) for table in own_tables):
            affected.add(router)  # its own access links may be treated differently
        access_links = (
            access_link
            for access_link in self.access_links
            if static.router_of(access_link) in affected and static.is_changed(access_link, executor)
        )
        return self.compare(INTACT, executor, access_links, differences=differences)

    @cached_property
    def nodes_at(self) -> Mapping[tuple[str, Table], Sequence[Node]]:
        """The nodes of the intact network by router and table."""
        found: dict[tuple[str, Table], list[Node]] = {}
        for node in self.static.executor.nodes.values():
            found.setdefault((node.router, node.table), []).append(node)
        return found

    def _is_unaffected(self, router: str, executor: SymbolicExecutor) -> bool:
        """Whether all packets that reach a changed table of a router end as before: then so do all others."""
        static, program = self.static, executor.program
        changed = program.changed_tables(static.program, router)
        now, before = program.liveness[router], static.program.liveness[router]
        return (
            all(now.at(table) == before.at(table) for table in changed)
            and program.groups[router] == static.program.groups[router]
            and static.admits_labels(program, router) == static.admits_labels(static.program, router)
            and all(
                executor.node(router, table, node.state) is node
                for table in changed
                for node in self.nodes_at.get((router, table), ())
            )
        )

    def proofs(
        self, left: Mapping[str, tuple[int, int]], findings: Sequence[VerificationFinding]
    ) -> tuple[IsolationProof, ...]:
        """The proof of isolation, for the cases without a violation; none if there is no such case, or an entry that
        is not modelled or another violation that holds in every case. ``left`` is by case what was examined: the
        numbers of access links and of pairs of sites; where no pair is left, nothing is proved."""
        violations = [finding for finding in findings if finding.is_violation]
        violated = {finding.case for finding in violations}
        clean = tuple(name for name, (_, pairs) in left.items() if pairs and name not in violated)
        if not clean or self.static.program.unreadable or any(each.kind in IN_EVERY_CASE for each in violations):
            return ()
        claim = (
            "a packet that a site sends on any of its access links, whatever its headers, tags or labels, is delivered"
            " where a contract allows it, to the site that has its destination address, in its class; every other"
            " packet is delivered nowhere, and no packet loops; every router on its path decrements its TTL once;"
            " gateways answer their own hosts' ARP, neighbour and echo requests, and nothing else"
        )
        access_links, pairs = left[clean[0]]
        least = min(clean, key=lambda name: left[name])
        return (
            IsolationProof(
                claim, clean, access_links, pairs, ASSUMED, len(self.static.access_links), least, left[least][0]
            ),
        )
