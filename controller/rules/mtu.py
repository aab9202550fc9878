"""Access links with a smaller MTU: packets that exceed it are dropped, and their sender gets an ICMP error with the
MTU, so that path MTU discovery (RFC 1191) works.

A switch does not split packets, so one that a router might split is dropped too, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from helsewan.controller.openflow.entries import CONTROLLER, CheckLarger, FlowRule, Load, Output, Table
from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie

MTU_REGISTER = "reg1"  # tells the controller the line's MTU
_VERDICT = "reg2"
_ETHERNET_BYTES = 14
_ABOVE = 200  # more than the priorities of prefixes of any two lengths are apart


def mtu_rules(rule: FlowRule, mtu_bytes: int) -> Iterator[FlowRule]:
    """A rule of the table ``deliver``, whose first action counts the TTL down, for a line that takes ``mtu_bytes``."""
    count_down, *onward = rule.actions
    measured = (count_down, CheckLarger(_ETHERNET_BYTES + mtu_bytes, _VERDICT))
    yield replace(rule, actions=measured, goto=Table.FIT)
    yield replace(rule, table=Table.FIT, actions=tuple(onward))
    yield FlowRule(
        Table.FIT,
        rule.priority + _ABOVE,
        (*rule.match, (_VERDICT, 1)),
        (Load(MTU_REGISTER, mtu_bytes, 16), Output(CONTROLLER)),
        cookie=cookie(Purpose.DROP, Drop.TOO_LONG),
    )
