"""The exact sets of packets from one site to another that rules deliver, drop or loop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.controller.rules.paths import Failures
from helsewan.lab.proofs.rule_query import RuleQuery
from helsewan.lab.proofs.verification import as_it_stands
from helsewan.topology.model import Network
from helsewan.verification.failures import INTACT, cases
from helsewan.verification.findings import FailureCase
from helsewan.verification.symbolic.packet_blocks import Block, blocks

_MAX_BLOCKS = 5_000  # a policy needs some tens for two sites


class Outcome(str, Enum):
    """The outcome of packets to a site."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    LOOPED = "looped"


@dataclass(frozen=True)
class Packets:
    """Packets from a site to a site with the same ``outcome``; ``whole``: ``blocks`` contains all of them."""

    sender: str
    line: int
    receiver: str
    case: str
    outcome: Outcome
    blocks: tuple[Block, ...]
    whole: bool


def packets(query: RuleQuery, sender: str, line: int, receiver: str, outcome: Outcome, case: str) -> Packets:
    """The packets that ``sender`` sends on access link ``line`` to addresses of ``receiver`` and that have ``outcome``
    in a failure case. Raises InputError, and the errors of a running lab's client."""
    from helsewan.verification.static import Static
    from helsewan.verification.symbolic.states import LOOPED

    dump, plan = query.read()
    network = plan.network
    _check(network, sender, line, receiver)
    failed = _case(network, case, dump.down)
    static = Static(network, dump.rules)
    space, from_line = static.space, (sender, line)
    is_dark = from_line in failed.failures.access_links or static.router_of(from_line) in failed.failures.routers
    machine = static.executor if failed.failures == INTACT.failures else static.with_failures(failed.failures)
    try:
        became = space.none if is_dark else static.outcomes(from_line, machine)
    except RecursionError:
        reason = "sends packets through more routers, one after the other, than can be followed"
        raise InputError(Problem("FROM", sender, reason, "see `helsewan verify`")) from None
    sent = space.any_of(space.to(prefix) for prefix in network.site[receiver].prefixes)
    if outcome is Outcome.DELIVERED:
        those = became & space.out(static.program.index[receiver])
    elif outcome is Outcome.LOOPED:
        those = sent & space.packets(became & space.out(LOOPED))
    else:
        those = sent & ~space.packets(became)
    return Packets(sender, line, receiver, failed.name, outcome, *blocks(space, those, _MAX_BLOCKS))


def _case(network: Network, name: str, down: Failures) -> FailureCase:
    """The failure case named ``name``, with the current failures added."""
    known = cases(network, "srlg")
    by_name = {case.name: combined for case, combined in zip(known, as_it_stands(known, down), strict=True)}
    if name not in by_name:
        raise InputError(Problem("--case", name, "is no failure case of this network", nearest(name, by_name)))
    return by_name[name]


def _check(network: Network, sender: str, line: int, receiver: str) -> None:
    for argument, site in (("FROM", sender), ("TO", receiver)):
        if site not in network.site:
            raise InputError(Problem(argument, site, "is no site of this network", nearest(site, network.site)))
    if line >= len(network.site[sender].accesses):
        raise InputError(Problem("--access-link", line, f"is no access link of {sender}", "it has one: 0"))


def print_packets(found: Packets, as_json: bool) -> None:
    """Print the blocks, one per line, or as JSON."""
    outcome = found.outcome.value
    if as_json:
        rows = [dict(block.headers) for block in found.blocks]
        ends = {"from": found.sender, "line": found.line, "to": found.receiver, "case": found.case}
        print(json.dumps({**ends, "all": found.whole, outcome: rows}, indent=2, ensure_ascii=False))
        return
    for block in found.blocks:
        print(block)
    remainder = "nothing else" if found.whole else "and more"
    route = f"{found.sender} to {found.receiver}, access link {found.line}, {found.case}"
    print(f"{route}: {len(found.blocks)} blocks of packets {outcome}, {remainder}")
