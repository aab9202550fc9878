"""Access links with a smaller MTU: packets that exceed it are dropped, and their sender gets an ICMP error with the
MTU, so that path MTU discovery (RFC 1191) works.

A switch does not fragment packets, so IPv4 packets without DF are dropped and counted too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from helsewan.controller.openflow.entries import CONTROLLER, CheckLarger, FlowRule, Load, Output, Table
from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie

MTU_REGISTER = "reg1"  # carries the MTU of the access link to the slow path
_TOO_LARGE_REGISTER = "reg2"
_ETHERNET_BYTES = 14
_PRIORITY_OFFSET = 200  # greater than the difference between the priorities of any two prefix lengths


def mtu_rules(rule: FlowRule, mtu_bytes: int) -> Iterator[FlowRule]:
    """``rule``, an entry of the table ``deliver`` whose first action decrements the TTL, with a check for packets
    longer than ``mtu_bytes``."""
    decrement_ttl, *onward = rule.actions
    check = (decrement_ttl, CheckLarger(_ETHERNET_BYTES + mtu_bytes, _TOO_LARGE_REGISTER))
    yield replace(rule, actions=check, goto=Table.FIT)
    yield replace(rule, table=Table.FIT, actions=tuple(onward))
    yield FlowRule(
        Table.FIT,
        rule.priority + _PRIORITY_OFFSET,
        (*rule.match, (_TOO_LARGE_REGISTER, 1)),
        (Load(MTU_REGISTER, mtu_bytes, 16), Output(CONTROLLER)),
        cookie=cookie(Purpose.DROP, Drop.TOO_LONG),
    )
