"""Exactly the packets that rules deliver from one site to another."""

from __future__ import annotations

import json
from dataclasses import dataclass

from scenarios.verify_input import Wanted
from topology.errors import InputError, Problem
from topology.model import Network
from topology.schema_errors import nearest
from verification.exact import Block, blocks

_MOST = 5_000  # blocks; a policy needs some tens for two sites


@dataclass(frozen=True)
class Delivered:
    """The packets between two sites; ``whole``: these are all."""

    sender: str
    line: int
    receiver: str
    blocks: tuple[Block, ...]
    whole: bool


def delivered(wanted: Wanted, sender: str, line: int, receiver: str) -> Delivered:
    """The packets that go from a site's line to a site. Raises InputError, and what a running network raises."""
    from verification.static import Static

    dump, plan = wanted.read()
    network = plan.network
    _check(network, sender, line, receiver)
    static = Static(network, dump.rules)
    those = static.became((sender, line)) & static.space.out(static.program.index[receiver])
    return Delivered(sender, line, receiver, *blocks(static.space, those, _MOST))


def _check(network: Network, sender: str, line: int, receiver: str) -> None:
    for argument, site in (("FROM", sender), ("TO", receiver)):
        if site not in network.site:
            raise InputError(Problem(argument, site, "is no site of this network", nearest(site, network.site)))
    if line >= len(network.site[sender].accesses):
        raise InputError(Problem("--line", line, f"is no line of {sender}", "it has one: 0"))


def print_packets(found: Delivered, as_json: bool) -> None:
    """The blocks, one a line, or as JSON."""
    if as_json:
        told = [dict(block.headers) for block in found.blocks]
        ends = {"from": found.sender, "line": found.line, "to": found.receiver}
        print(json.dumps({**ends, "all": found.whole, "delivered": told}, indent=2, ensure_ascii=False))
        return
    for block in found.blocks:
        print(block)
    rest = "nothing else" if found.whole else "and more"
    print(f"{found.sender} to {found.receiver}, line {found.line}: {len(found.blocks)} blocks of packets, {rest}")
