"""Rules of contracts: the sessions that a role may open to another, the replies, and the traffic class of both.

The switch keeps no session state, so a reply is recognised by its source port; a TCP reply must also have ACK or RST
set, so that a server cannot open a connection from its service port. Traffic without a contract is dropped and counted,
and so are fragments, whose ports a switch cannot match. ICMP errors go to the slow path, see ``slowpath/related.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helsewan.controller.openflow.entries import CONTROLLER, FlowRule, Match, Output, SetField, Table
from helsewan.controller.openflow.pipeline import (
    CLASS,
    DESTINATION_ROLE,
    SOURCE_ROLE,
    Drop,
    Purpose,
    cookie,
    drop_rule,
    joined,
)
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IP6, IpVersion
from helsewan.policies.plan import Contract, Plan, PortMatch, Protocol

TCP_ACK, TCP_RST = 0x10, 0x04
ANY_FRAGMENT = 1  # the bit of ip_frag that Open vSwitch sets in first and later fragments

_FRAGMENT_PRIORITY, _OPENING_PRIORITY, _REPLY_PRIORITY, _ERROR_PRIORITY = 400, 200, 100, 50
# Destination unreachable, time exceeded, parameter problem (RFC 792); the same and packet too big (RFC 4443)
_ERROR_TYPES = {IP4: (3, 11, 12), IP6: (1, 2, 3, 4)}


@dataclass(frozen=True, slots=True)
class ContractRules:
    """The rules of one contract: ``opening`` for routers with an access link of the client role, ``replies`` for those
    with one of the server role. ``client`` and ``server`` are role numbers."""

    client: int
    server: int
    opening: tuple[FlowRule, ...]
    replies: tuple[FlowRule, ...]


def contract_rules(plan: Plan) -> tuple[ContractRules, ...]:
    """The rules of every contract, in the plan's order."""
    return tuple(
        ContractRules(
            contract.client,
            contract.server,
            tuple(rule for family in FAMILIES for rule in _openings(plan, contract, family)),
            tuple(rule for family in FAMILIES for rule in _replies(plan, contract, family)),
        )
        for contract in plan.contracts
    )


def fragment_rules() -> Iterator[FlowRule]:
    """Drop and count fragments, the first one included: its ports and ICMP type are matched as zero (OFPC_FRAG_NORMAL),
    so that any ICMP fragment would match as an echo reply."""
    for family in FAMILIES:
        match: Match = (("eth_type", family.eth_type), ("ip_frag", (ANY_FRAGMENT, ANY_FRAGMENT)))
        yield drop_rule(Table.CONTRACT, _FRAGMENT_PRIORITY, match, Drop.FRAGMENT)


def error_rules() -> Iterator[FlowRule]:
    """Punt ICMP errors of sites that no contract allows: the slow path passes on those that are about allowed
    traffic."""
    for family in FAMILIES:
        protocol: Match = (("eth_type", family.eth_type), ("ip_proto", family.icmp))
        for kind in _ERROR_TYPES[family]:
            match = (*protocol, (family.icmp_type, kind))
            number = cookie(Purpose.DROP, Drop.ICMP_ERROR)
            yield FlowRule(Table.CONTRACT, _ERROR_PRIORITY, match, (Output(CONTROLLER),), cookie=number)


def _openings(plan: Plan, contract: Contract, family: IpVersion) -> Iterator[FlowRule]:
    """Rules from client to server. Their priority is above that of replies: if a packet matches both, the rule from
    client to server determines its class."""
    between = _between(contract.client, contract.server, family)
    for breadth, header in _headers(plan, contract, "dst", family, family.echo_request):
        yield from _allowing(plan, contract, _OPENING_PRIORITY + 2 * breadth, (*between, *header))


def _replies(plan: Plan, contract: Contract, family: IpVersion) -> Iterator[FlowRule]:
    """Rules from server to client."""
    between = _between(contract.server, contract.client, family)
    for breadth, header in _headers(plan, contract, "src", family, family.echo_reply):
        priority = _REPLY_PRIORITY + 2 * breadth
        if plan.service[contract.service].protocol is not Protocol.TCP:
            yield from _allowing(plan, contract, priority, (*between, *header))
            continue
        for flag in (
            TCP_ACK,
            TCP_RST,
        ):  # a reset in response to a segment with ACK has no ACK itself (RFC 9293, 3.10.7.1)
            match = (*between, *header, ("tcp_flags_nxm", (flag, flag)))
            yield from _allowing(plan, contract, priority, match)


def _between(source: int, destination: int, family: IpVersion) -> Match:
    """Matches packets of an IP version from one role to another."""
    roles = joined(SOURCE_ROLE.of(source), DESTINATION_ROLE.of(destination))
    return ("metadata", roles), ("eth_type", family.eth_type)


def _headers(
    plan: Plan, contract: Contract, side: str, family: IpVersion, icmp_type: int
) -> Iterator[tuple[int, Match]]:
    """(bits that the match takes of the port, match) of each port range of the contract's service, -1 bits if it takes
    any protocol; ``side`` (src or dst) is the field that holds the server's port, ``icmp_type`` the type to match if
    the service is ICMP."""
    service = plan.service[contract.service]
    if service.protocol is Protocol.ANY:
        yield -1, ()
        return
    icmp = service.protocol is Protocol.ICMP
    protocol: Match = (("ip_proto", family.icmp if icmp else int(service.protocol)),)
    for port in service.ports or (PortMatch(0, 0),):
        if icmp:
            yield 0, (*protocol, (family.icmp_type, icmp_type))
        elif port.mask == 0:
            yield 0, protocol
        else:
            value = port.value if port.mask == 0xFFFF else (port.value, port.mask)
            yield port.mask.bit_count(), (*protocol, (f"{service.protocol.name.lower()}_{side}", value))


def _allowing(plan: Plan, contract: Contract, priority: int, match: Match) -> Iterator[FlowRule]:
    """Rules that permit what ``match`` matches and mark it with the service's class. Packets that arrive with the DSCP
    of one of the classes in ``service.kept`` remain in that class."""
    service, number = plan.service[contract.service], cookie(Purpose.CONTRACT, contract.id)

    def allow(priority: int, match: Match, class_name: str) -> FlowRule:
        dscp = plan.traffic_class[class_name].dscp
        mark = SetField("ip_dscp", dscp)
        return FlowRule(Table.CONTRACT, priority, match, (mark,), Table.POLICE, CLASS.of(dscp), cookie=number)

    for name in service.kept:
        for dscp in plan.traffic_class[name].dscps:
            yield allow(priority + 1, (*match, ("ip_dscp", dscp)), name)
    yield allow(priority, match, service.class_name)
