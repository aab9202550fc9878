"""The answers of a router to its own access links: ARP replies, neighbour advertisements and echo replies of the
gateway. Without them a site reaches nothing; with another MAC address neither.

They depend on the plan alone. So the entries that answer have to be those that the plan's ingress filter has, and the
packets that they answer the same: other entries may take packets away from them.
"""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.controller.openflow.entries import IN_PORT, FlowRule, Output, Resubmit, RuleSet, Table
from helsewan.controller.rules.ingress_filter import IngressFilter
from helsewan.policies.plan import Plan
from helsewan.topology.model import router_mac
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.symbolic.header_space import packet_of
from helsewan.verification.symbolic.program import Program
from helsewan.verification.symbolic.states import ANSWERED
from helsewan.verification.symbolic.static_model import Static
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor

_ANSWERING = frozenset({Table.ADMIT, Table.NEIGHBOUR})


def wrong_answers(plan: Plan, static: Static, router: str) -> Iterator[VerificationFinding]:
    """Entries of a router that answer otherwise than the plan intends, and packets that it does not answer, or should
    not."""
    access_links = tuple((i, link) for i, link in enumerate(plan.attachments) if link.router == router)
    intended = tuple(IngressFilter(plan, router, access_links).rules())
    held = tuple(rule for rule in static.rules[router].flows if rule.table in _ANSWERING)
    if frozenset(map(_with_priority, held)) == frozenset(map(_with_priority, intended)):
        return
    wanted = {_content(rule) for rule in intended if _answers(rule)}
    for rule in static.rules[router].flows:
        if _answers(rule) and _content(rule) not in wanted:
            reason = f"the entry answers hosts otherwise than the gateway should, whose address is {_mac(plan, router)}"
            yield VerificationFinding(FindingKind.ANSWER, INTACT.name, reason, "", where=f"{router}: {rule}")
    yield from _unanswered(plan, static, router, RuleSet(flows=intended))


def _unanswered(plan: Plan, static: Static, router: str, intended: RuleSet) -> Iterator[VerificationFinding]:
    """For each access link of a router the packets that are answered and should not be, or the other way round."""
    space = static.space
    rules = {each.id: intended if each.id == router else RuleSet() for each in plan.network.routers}
    executor, answered = SymbolicExecutor(Program(plan.network, rules, space)), space.out(ANSWERED)
    for access_link in static.access_links:
        if static.router_of(access_link) != router:
            continue
        try:
            became, wanted = (space.packets(static.outcomes(access_link, each) & answered) for each in (None, executor))
        except RecursionError:  # a path is too long to be followed: the comparison says that nothing is proved
            return
        for those, what in ((wanted & ~became, "does not answer"), (became & ~wanted, "should not answer")):
            if those == space.none:
                continue
            site, number = access_link
            source = space.match("ipv4_src", int(plan.network.site[site].address4))
            yield VerificationFinding(
                FindingKind.ANSWER,
                INTACT.name,
                f"{router} {what} this packet from {site}, as the gateway of access link {number}",
                "",
                site=site,
                access_link=number,
                packet=packet_of(space.example(those, (space.equal("vlan_vid", 0), source))),
            )


def _mac(plan: Plan, router: str) -> str:
    return router_mac(plan.network.router[router])


def _answers(rule: FlowRule) -> bool:
    """Whether an entry takes part in an answer."""
    leads = rule.goto is Table.NEIGHBOUR or Resubmit(Table.NEIGHBOUR) in rule.actions
    return leads or Output(IN_PORT) in rule.actions or (rule.table is Table.NEIGHBOUR and bool(rule.actions))


def _content(rule: FlowRule) -> tuple[object, ...]:
    """An entry without what does not change an answer: its priority and cookie."""
    return rule.table, frozenset(rule.match), rule.actions, rule.goto, rule.metadata


def _with_priority(rule: FlowRule) -> tuple[object, ...]:
    return *_content(rule), rule.priority
