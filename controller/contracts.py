"""Contracts as rules: what a role may open to another, the replies to it, and the class they travel in.

Without state in the switch, a reply is told by its source port; a TCP reply must also acknowledge or
reset, so that a server cannot open a connection from its service port. What is no contract is dropped
and counted, later fragments too: they carry no ports to hold a contract against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.pipeline import DESTINATION_ROLE, IPV4, SOURCE_ROLE, Drop, Purpose, cookie, joined
from controller.rules import FlowRule, Match, SetField, Table
from policies.plan import Contract, Plan, PortMatch, Protocol

TCP_ACK, TCP_RST = 0x10, 0x04
ECHO_REPLY, ECHO_REQUEST = 0, 8
LATER_FRAGMENT = 3  # Open vSwitch: any fragment (1) and not the first (2)

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
            tuple(_openings(plan, index, contract)),
            tuple(_replies(plan, index, contract)),
        )
        for index, contract in enumerate(plan.contracts)
    )


def fragment_rule() -> FlowRule:
    """Drops and counts fragments but the first."""
    match: Match = (("eth_type", IPV4), ("ip_frag", (LATER_FRAGMENT, LATER_FRAGMENT)))
    return FlowRule(Table.CONTRACT, _FRAGMENT_PRIORITY, match, cookie=cookie(Purpose.DROP, Drop.FRAGMENT))


def _openings(plan: Plan, index: int, contract: Contract) -> Iterator[FlowRule]:
    """From client to server. They outrank replies: of two that both match, the opening decides the class."""
    between = _between(contract.client, contract.server)
    for port, header in _headers(plan, contract, "dst", ECHO_REQUEST):
        yield from _allowing(plan, index, contract, _OPENING_PRIORITY + 2 * port.mask.bit_count(), (*between, *header))


def _replies(plan: Plan, index: int, contract: Contract) -> Iterator[FlowRule]:
    """From server to client."""
    between = _between(contract.server, contract.client)
    for port, header in _headers(plan, contract, "src", ECHO_REPLY):
        priority = _REPLY_PRIORITY + 2 * port.mask.bit_count()
        if plan.service[contract.service].protocol is not Protocol.TCP:
            yield from _allowing(plan, index, contract, priority, (*between, *header))
            continue
        for flag in (TCP_ACK, TCP_RST):  # a reset in answer to an acknowledgement has no ACK (RFC 9293, 3.10.7.1)
            match = (*between, *header, ("tcp_flags_nxm", (flag, flag)))
            yield from _allowing(plan, index, contract, priority, match)


def _between(source: int, destination: int) -> Match:
    """From one role to another."""
    return ("metadata", joined(SOURCE_ROLE.of(source), DESTINATION_ROLE.of(destination))), ("eth_type", IPV4)


def _headers(plan: Plan, contract: Contract, side: str, icmp_type: int) -> Iterator[tuple[PortMatch, Match]]:
    """The service's headers, one match for each of its port ranges; ``side`` is where the server's port stands."""
    service = plan.service[contract.service]
    protocol: Match = (("ip_proto", int(service.protocol)),)
    for port in service.ports or (PortMatch(0, 0),):
        if service.protocol is Protocol.ICMP:
            yield port, (*protocol, ("icmpv4_type", icmp_type))
        elif port.mask == 0:
            yield port, protocol
        else:
            value = port.value if port.mask == 0xFFFF else (port.value, port.mask)
            yield port, (*protocol, (f"{service.protocol.name.lower()}_{side}", value))


def _allowing(plan: Plan, index: int, contract: Contract, priority: int, match: Match) -> Iterator[FlowRule]:
    """Marks with the service's class and lets pass; what came marked for a class the service keeps stays in it."""
    service, number = plan.service[contract.service], cookie(Purpose.CONTRACT, index)

    def allow(priority: int, match: Match, class_name: str) -> FlowRule:
        mark = SetField("ip_dscp", plan.traffic_class[class_name].dscp)
        return FlowRule(Table.CONTRACT, priority, match, (mark,), Table.POLICE, cookie=number)

    for name in service.kept:
        for dscp in plan.traffic_class[name].dscps:
            yield allow(priority + 1, (*match, ("ip_dscp", dscp)), name)
    yield allow(priority, match, service.class_name)
