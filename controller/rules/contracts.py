"""Rules of contracts: what a role may open to another, the replies to it, and the class of both.

Without state in the switch, a reply is told by its source port; a TCP reply must also acknowledge or
reset, so that a server cannot open a connection from its service port. What is no contract is dropped
and counted, fragments too: a switch sees no ports in them to hold a contract against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helsewan.controller.openflow.entries import FlowRule, Match, SetField, Table
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
from helsewan.controller.rules.ip_version import FAMILIES, IpVersion
from helsewan.policies.plan import Contract, Plan, PortMatch, Protocol

TCP_ACK, TCP_RST = 0x10, 0x04
ANY_FRAGMENT = 1  # the bit that Open vSwitch sets for the first and the later ones

_FRAGMENT_PRIORITY, _OPENING_PRIORITY, _REPLY_PRIORITY = 400, 200, 100


@dataclass(frozen=True, slots=True)
class ContractRules:
    """One contract's rules: ``opening`` where the client role has a line, ``replies`` where the server has."""

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
    """Drop and count fragments. The first too: look-ups see zero for its ports and ICMP type (OFPC_FRAG_NORMAL), so
    any ICMP fragment would pass for an echo reply."""
    for family in FAMILIES:
        match: Match = (("eth_type", family.eth_type), ("ip_frag", (ANY_FRAGMENT, ANY_FRAGMENT)))
        yield drop_rule(Table.CONTRACT, _FRAGMENT_PRIORITY, match, Drop.FRAGMENT)


def _openings(plan: Plan, contract: Contract, family: IpVersion) -> Iterator[FlowRule]:
    """From client to server. They outrank replies: of two that both match, the opening decides the class."""
    between = _between(contract.client, contract.server, family)
    for port, header in _headers(plan, contract, "dst", family, family.echo_request):
        yield from _allowing(plan, contract, _OPENING_PRIORITY + 2 * port.mask.bit_count(), (*between, *header))


def _replies(plan: Plan, contract: Contract, family: IpVersion) -> Iterator[FlowRule]:
    """From server to client."""
    between = _between(contract.server, contract.client, family)
    for port, header in _headers(plan, contract, "src", family, family.echo_reply):
        priority = _REPLY_PRIORITY + 2 * port.mask.bit_count()
        if plan.service[contract.service].protocol is not Protocol.TCP:
            yield from _allowing(plan, contract, priority, (*between, *header))
            continue
        for flag in (TCP_ACK, TCP_RST):  # a reset in answer to an acknowledgement has no ACK (RFC 9293, 3.10.7.1)
            match = (*between, *header, ("tcp_flags_nxm", (flag, flag)))
            yield from _allowing(plan, contract, priority, match)


def _between(source: int, destination: int, family: IpVersion) -> Match:
    """From one role to another."""
    roles = joined(SOURCE_ROLE.of(source), DESTINATION_ROLE.of(destination))
    return ("metadata", roles), ("eth_type", family.eth_type)


def _headers(
    plan: Plan, contract: Contract, side: str, family: IpVersion, icmp_type: int
) -> Iterator[tuple[PortMatch, Match]]:
    """The service's headers, one match for each of its port ranges; ``side`` is where the server's port stands."""
    service = plan.service[contract.service]
    icmp = service.protocol is Protocol.ICMP
    protocol: Match = (("ip_proto", family.icmp if icmp else int(service.protocol)),)
    for port in service.ports or (PortMatch(0, 0),):
        if icmp:
            yield port, (*protocol, (family.icmp_type, icmp_type))
        elif port.mask == 0:
            yield port, protocol
        else:
            value = port.value if port.mask == 0xFFFF else (port.value, port.mask)
            yield port, (*protocol, (f"{service.protocol.name.lower()}_{side}", value))


def _allowing(plan: Plan, contract: Contract, priority: int, match: Match) -> Iterator[FlowRule]:
    """Marks with the service's class and lets pass; what came marked for a class the service keeps stays in it."""
    service, number = plan.service[contract.service], cookie(Purpose.CONTRACT, contract.id)

    def allow(priority: int, match: Match, class_name: str) -> FlowRule:
        dscp = plan.traffic_class[class_name].dscp
        mark = SetField("ip_dscp", dscp)
        return FlowRule(Table.CONTRACT, priority, match, (mark,), Table.POLICE, CLASS.of(dscp), cookie=number)

    for name in service.kept:
        for dscp in plan.traffic_class[name].dscps:
            yield allow(priority + 1, (*match, ("ip_dscp", dscp)), name)
    yield allow(priority, match, service.class_name)
