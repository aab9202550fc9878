"""Compares what rules do to all packets with what the policy expects, access link by access link.

Both are relations (`symbolic.static_model` and `expected.expected_sets`): where they are the same node of one diagram,
the access link keeps the policy, for all packets at once. Under a failure only the paths it touches are worked out
again: if each of them ends as before, except for sites that are cut off, then so does all that leads into it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context

from helsewan.controller.openflow.entries import Group, Output, Resubmit, RuleSet, Table
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan
from helsewan.topology.model import TRUNK_PORT, AccessLinkId
from helsewan.verification.expected.expected_sets import Expectation
from helsewan.verification.failures import INTACT, components, cut_off
from helsewan.verification.findings import Case, Finding, Kind, Proof, VerificationReport
from helsewan.verification.reports.differences import Differences, Key, SwitchesWhenNeeded, merged
from helsewan.verification.symbolic.dead_rules import Use, Uses
from helsewan.verification.symbolic.header_space import Set
from helsewan.verification.symbolic.policers import unpoliced
from helsewan.verification.symbolic.states import ANSWERED, Node, Transition
from helsewan.verification.symbolic.static_model import MOST_ROUTERS, Static
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor

ASSUMED = (
    "a packet has hops enough for its way, and is not longer than the lines of the site it is for take",
    "every port shows what failed behind it, and nothing else failed",
    "meters let what they are asked pass",
    "links and switches neither change nor make up packets",
)


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What happens to packets on the router of their own access link: the tables they reach, by router, and each action
    that forwards them, with the largest set of packets it can apply to, by the components it depends on."""

    tables: frozenset[tuple[str, Table]]
    deeds: Mapping[int, Sequence[tuple[Set, Transition]]]

    def on(self, things: int) -> Iterator[tuple[Set, Transition]]:
        """What hangs on any of these."""
        return (pair for mask, deeds in self.deeds.items() if mask & things for pair in deeds)


@dataclass(frozen=True, slots=True)
class Part:
    """The result for some of the access links: findings, entries used (see `dead_rules.Uses`), number of nodes, and
    times."""

    findings: dict[Key, Finding]
    uses: tuple[set[Use], set[Use]]
    nodes: int
    intact_s: float
    failures_s: float


class Verification:
    """Compares rules with a policy, for all access links or some of them."""

    def __init__(self, plan: Plan, static: Static, lines: Sequence[AccessLinkId] | None = None) -> None:
        self.plan, self.static, self.space = plan, static, static.space
        self.lines = static.lines if lines is None else lines
        self.expectation = Expectation(plan, self.space)
        self.differences = Differences(plan, SwitchesWhenNeeded(static.rules), self.expectation)

    def run(self, cases: Sequence[Case], workers: int = 1) -> VerificationReport:
        """All cases, policers and flaws."""
        shares = self._shares(workers)
        if len(shares) > 1:
            with get_context("fork").Pool(len(shares), _adopt, (self, cases)) as pool:
                parts = pool.map(_of_share, shares, chunksize=1)
        else:
            parts = [self.part(cases)]
        static, uses = self.static, Uses(self.static.program)
        for part in parts:
            uses.add(*part.uses)
        findings = [
            *merged([part.findings for part in parts], {line: place for place, line in enumerate(self.lines)}),
            *self.differences.unreadable(static.program.unreadable),
            *unpoliced(self.plan, static.program, static.rules),
            *uses.flaws(complete=any(case.failures.links for case in cases)),
        ]
        figures = {
            "intact_s": max(part.intact_s for part in parts),
            "failures_s": max(part.failures_s for part in parts),
            "entries": sum(map(len, static.rules.values())),
            "nodes": sum(part.nodes for part in parts),
            "cases": len(cases),
        }
        return VerificationReport(
            self.plan.policy, self.plan.network.name, tuple(findings), self.proofs(cases, findings), figures
        )

    def _shares(self, workers: int) -> list[list[AccessLinkId]]:
        """The lines for each of some workers; those of one router have most of their way in common."""
        by_router: dict[str, list[AccessLinkId]] = {}
        for line in self.lines:
            by_router.setdefault(self.static.router_of(line), []).append(line)
        shares: list[list[AccessLinkId]] = [[] for _ in range(min(workers, len(by_router)))]
        for lines in sorted(by_router.values(), key=len, reverse=True):
            min(shares, key=len).extend(lines)
        return shares

    def part(self, cases: Sequence[Case]) -> Part:
        """What the lines show in all cases."""
        static, uses, began = self.static, Uses(self.static.program), time.perf_counter()
        intact = any(case.failures == Failures() for case in cases)
        found = self._intact() if intact else {}  # where a router is off, nobody knows what it would hold
        uses.note(static.machine)
        intact_s = time.perf_counter() - began
        sound = intact and not found and not static.program.unreadable
        for case in cases:
            if case.failures != Failures():
                machine = static.during(case.failures)
                found |= self._followed(case, partial(self.case, case, machine, sound))
                uses.note(machine)
        failures_s = time.perf_counter() - began - intact_s
        return Part(found, uses.known, len(static.machine.nodes), intact_s, failures_s)

    def intact(self) -> list[Finding]:
        """What is wrong while nothing has failed."""
        unreadable = self.differences.unreadable(self.static.program.unreadable)
        return [*self._intact().values(), *unreadable]

    def _followed(self, case: Case, look: Callable[[], dict[Key, Finding]]) -> dict[Key, Finding]:
        """What a look finds; where it has to follow packets further than it can, that nothing is proved."""
        try:
            return look()
        except RecursionError:
            says = f"packets go through more than {MOST_ROUTERS} routers, one after the other: nothing is proved"
            return {(case.name, Kind.UNMODELLED, -1, -1): Finding(Kind.UNMODELLED, case.name, says, "", where="rules")}

    def _intact(self) -> dict[Key, Finding]:
        return self._followed(INTACT, partial(self.compared, INTACT, self.static.machine, self.lines))

    @cached_property
    def first_steps(self) -> FirstSteps:
        """What is done to packets between one of the lines and the first fibre, or a line of the same router."""
        static, tables = self.static, set[tuple[str, Table]]()
        found: dict[tuple[object, ...], tuple[Set, Transition]] = {}
        seen: set[int] = set()
        left = [node for line in self.lines for _, node in static.roots(line)]
        while left:
            node = left.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            tables.add((node.router, node.table))
            left += node.after
            for takes, deed in node.deeds:
                if any(isinstance(action, Output | Group | Resubmit) for action in deed.effect[0]):
                    needs = static.program.needs[deed.router].acting(deed.effect)
                    key = deed.router, deed.table, deed.effect, static.machine.narrowed(deed.state, needs)
                    others, known = found.get(key, (static.space.none, deed))
                    found[key] = others | takes, known
        by_mask: dict[int, list[tuple[Set, Transition]]] = {}
        for takes, deed in found.values():
            by_mask.setdefault(deed.result.hangs_on, []).append((takes, deed))
        return FirstSteps(frozenset(tables), by_mask)

    def compared(
        self,
        case: Case,
        machine: SymbolicExecutor,
        lines: Iterable[AccessLinkId],
        elsewhere: Mapping[str, Set] | None = None,
        differences: Differences | None = None,
    ) -> dict[Key, Finding]:
        """Lines held against the policy one by one; ``elsewhere``, by router, is all that does not end at sites that
        nothing leads to from there."""
        answered, found = self.space.out(ANSWERED), (differences or self.differences).of(case)
        for line in lines:
            site = self.plan.network.site[line[0]]
            wanted = self.expectation.of_line(site, self.static.own_port(line) is not None)
            if elsewhere:
                wanted &= elsewhere[self.static.router_of(line)]
            became = self.static.became(line, machine) & ~answered & self.expectation.judged
            wanted &= self.expectation.judged
            if became != wanted:
                found.add(line, became, wanted)
        return found.findings()

    def case(self, case: Case, machine: SymbolicExecutor, sound: bool) -> dict[Key, Finding]:
        """What is wrong in a case; ``sound``: nothing is in the intact network."""
        network, failed = self.plan.network, case.failures
        cut = {part: self.expectation.elsewhere(sites) for part, sites in cut_off(network, failed).items()}
        elsewhere = {router: cut[part] for router, part in components(network, failed).items()}
        if sound and all(
            self._holds(takes, deed, machine, elsewhere[deed.router])
            for takes, deed in self.first_steps.on(machine.down)
            if deed.router in elsewhere
        ):
            return {}
        lines = [
            line for line in self.lines if line not in failed.access_links and self.static.router_of(line) in elsewhere
        ]
        return self.compared(case, machine, lines, elsewhere)

    def _holds(self, takes: Set, deed: Transition, machine: SymbolicExecutor, elsewhere: Set) -> bool:
        """Whether the packets that come to a deed still end where they did, but for those to sites that are cut off."""
        now, before = machine.act(deed.router, deed.table, deed.effect, deed.state).out, deed.result.out
        if now == before and elsewhere == self.space.all:
            return True
        judged = takes & self.expectation.judged
        return bool(now & judged == before & judged & elsewhere)

    def after(self, router: str, held: RuleSet) -> list[Finding]:
        """What is wrong in the intact network once one router holds other rules, where before nothing was: only what
        the difference touches is gone through. Policers and flaws are not looked at."""
        static = self.static
        if (changed := static.program.having(router, held)) is None:
            return Verification(self.plan, Static(static.network, {**static.rules, router: held})).intact()
        program, stale = changed
        machine = SymbolicExecutor(program, base=static.machine, changed=stale)
        differences = self.differences.having(router, held)
        found = self._followed(INTACT, partial(self._moved, router, machine, differences))
        return [*found.values(), *differences.unreadable(program.unreadable)]

    def _moved(self, router: str, machine: SymbolicExecutor, differences: Differences) -> dict[Key, Finding]:
        """What is wrong with packets of which something else becomes once one router holds other rules."""
        if self._is_unmoved(router, machine):
            return {}
        static, stale, everything = self.static, machine.stale, self.space.all
        touched = {
            deed.router
            for takes, deed in self.first_steps.on(stale)
            if not self._holds(takes, deed, machine, everything)
        }
        sides = [
            machine.program.side(router, table, TRUNK_PORT) for at, table in self.first_steps.tables if at == router
        ]
        if any(stale & side for side in sides):
            touched.add(router)  # whose lines may be done other things to
        lines = (line for line in self.lines if static.router_of(line) in touched and static.differs(line, machine))
        return self.compared(INTACT, machine, lines, differences=differences)

    @cached_property
    def nodes_at(self) -> Mapping[tuple[str, Table], Sequence[Node]]:
        """The nodes of the intact network by router and table."""
        found: dict[tuple[str, Table], list[Node]] = {}
        for node in self.static.machine.nodes.values():
            found.setdefault((node.router, node.table), []).append(node)
        return found

    def _is_unmoved(self, router: str, machine: SymbolicExecutor) -> bool:
        """Whether all that comes to a router's tables that differ ends as before: then so does all before it."""
        static, program = self.static, machine.program
        differ = program.differing(static.program, router)
        looks_alike = all(program.needs[router].at(table) == static.program.needs[router].at(table) for table in differ)
        return (
            looks_alike
            and program.groups[router] == static.program.groups[router]
            and static.lets_labels_in(program, router) == static.lets_labels_in(static.program, router)
            and all(
                machine.node(router, table, node.state) is node
                for table in differ
                for node in self.nodes_at.get((router, table), ())
            )
        )

    def proofs(self, cases: Sequence[Case], findings: Sequence[Finding]) -> tuple[Proof, ...]:
        """What holds: of each case in which nothing was found wrong."""
        wrong = {finding.case for finding in findings if finding.is_violation}
        clean = tuple(case.name for case in cases if case.name not in wrong)
        if not clean or self.static.program.unreadable:  # which say nothing of packets in any case
            return ()
        sites = len(self.plan.network.sites)
        claim = (
            "what a site sends from any of its lines, whatever its headers, tags or labels, is delivered where a"
            " contract allows it, to the site that has the address, in its class; all else is delivered nowhere, and"
            " nothing loops"
        )
        return (Proof(claim, clean, len(self.static.lines), sites * sites, ASSUMED),)


_shared: list[tuple[Verification, Sequence[Case]]] = []  # in a worker: what it was forked with, too large to be sent


def _adopt(verification: Verification, cases: Sequence[Case]) -> None:
    _shared.append((verification, cases))


def _of_share(lines: Sequence[AccessLinkId]) -> Part:
    """A worker's part."""
    ((whole, cases),) = _shared
    return Verification(whole.plan, whole.static, lines).part(cases)
