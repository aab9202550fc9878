"""Services of any IP protocol: what a policy may name, the rules, what the verifier expects, and what is refused."""

from __future__ import annotations

import pickle
from functools import cache

import policy_golden
import pytest
from policy_error_cases import GOOD
from policy_network import small_network

from helsewan.common.errors import InputError
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.ip_version import IP4, IP6, IpVersion
from helsewan.policies.analysis.explain import stateless_replies
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.protocols import NUMBERS, parse_protocol, protocol_name
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.plan import Plan, PortMatch, Protocol
from helsewan.verification.concrete.fabric import End, Fabric
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.expected.expected import Disposition, Intent
from helsewan.verification.failures import cases
from helsewan.verification.static import verify

TUNNELS = GOOD.replace(
    "  ping: {protocol: icmp, class: rest}",
    "  ping: {protocol: icmp, class: rest}\n  tunnel: {protocol: gre, class: rest, keep: [voice]}\n"
    "  signalling: {protocol: sctp, ports: [36412, 36422-36423], class: voice}\n"
    "  all: {protocol: any, class: rest}",
).replace(
    "contracts:\n",
    "contracts:\n  tunnels: {from: {site: [h-bodo]}, to: {site: [h-tromso]}, services: [tunnel, call, signalling]}\n"
    "  whole: {from: {site: [h-bodo]}, to: {site: [h-orkdal]}, services: [all, call]}\n",
)


@cache
def plan() -> Plan:
    return compile_policy(policy_golden.policy(TUNNELS), small_network())


@cache
def fabric() -> Fabric:
    rules = first_generation(plan())
    return Fabric.of(plan().network, {router: rules.rules(router) for router in plan().network.router})


def packet(client: str, server: str, protocol: int, version: IpVersion = IP4, **fields: int) -> Packet:
    a, b = (plan().network.site[site] for site in (client, server))
    ends = (a.address4, b.address4) if version is IP4 else (a.address6, b.address6)
    about = {version.source: str(ends[0]), version.destination: str(ends[1])}
    base = {"eth_type": version.eth_type, "nw_ttl": 64, "ip_dscp": 0, "ip_frag": 0, "ip_proto": protocol}
    return Packet.of(**{**base, **about, **fields})


@pytest.mark.parametrize("version", [IP4, IP6])
@pytest.mark.parametrize(
    ("client", "server", "protocol", "fields", "arrives"),
    [
        ("h-bodo", "h-tromso", 47, {}, True),
        ("h-tromso", "h-bodo", 47, {}, True),  # a reply: nothing tells it from an opening
        ("h-bodo", "h-tromso", 50, {}, False),
        ("h-bodo", "h-tromso", 46, {}, False),
        ("h-orkdal", "h-tromso", 47, {}, False),
        ("h-bodo", "h-orkdal", 132, {}, True),
        ("h-orkdal", "h-bodo", 132, {}, True),
        ("h-bodo", "h-orkdal", 6, {"tcp_src": 9, "tcp_dst": 8, "tcp_flags": 2}, True),
        ("h-bodo", "h-orkdal", 132, {"ip_frag": 1}, False),
        ("h-bodo", "h-tromso", 132, {"sctp_src": 40000, "sctp_dst": 36412}, True),
        ("h-bodo", "h-tromso", 132, {"sctp_src": 40000, "sctp_dst": 36423}, True),
        ("h-bodo", "h-tromso", 132, {"sctp_src": 40000, "sctp_dst": 36424}, False),
        ("h-bodo", "h-tromso", 132, {"sctp_src": 36412, "sctp_dst": 40000}, False),
        ("h-tromso", "h-bodo", 132, {"sctp_src": 36412, "sctp_dst": 40000}, True),
        ("h-tromso", "h-bodo", 132, {"sctp_src": 36411, "sctp_dst": 40000}, False),
        ("h-bodo", "h-tromso", 17, {"udp_src": 40000, "udp_dst": 36412}, False),
        ("h-levanger", "h-orkdal", 132, {}, False),
    ],
)
def test_rules_and_intent_agree_and_are_right(
    client: str, server: str, protocol: int, fields: dict[str, int], arrives: bool, version: IpVersion
) -> None:
    sent = packet(client, server, protocol, version, **fields)
    trace = fabric().trace_from(client, sent)
    assert (trace.end is End.DELIVERED and trace.site == server) is arrives
    assert (Intent(plan()).of(client, sent).disposition is Disposition.ARRIVES) is arrives


@pytest.mark.parametrize(("dscp", "expected"), [(0, 0), (46, 46), (10, 0)])
def test_packets_without_ports_keep_their_class_too(dscp: int, expected: int) -> None:
    trace = fabric().trace_from("h-bodo", packet("h-bodo", "h-tromso", 47, ip_dscp=dscp))
    assert trace.packet is not None and trace.packet.fields["ip_dscp"] == expected


def test_a_narrower_service_decides_the_class() -> None:
    call = {"udp_src": 40000, "udp_dst": 16384}
    trace = fabric().trace_from("h-bodo", packet("h-bodo", "h-orkdal", 17, **call))
    assert trace.packet is not None and trace.packet.fields["ip_dscp"] == 46


def test_the_rules_are_proved() -> None:
    rules = first_generation(plan())
    found = {router: rules.rules(router) for router in plan().network.router}
    assert verify(plan(), found, cases(plan().network, "none")).violations == ()


@pytest.mark.parametrize(("was", "becomes"), [("protocol: gre", "protocol: 46"), ("36412", "36413"),
                                              ("protocol: sctp", "protocol: udp")])  # fmt: skip
def test_rules_for_another_protocol_or_port_are_found(was: str, becomes: str) -> None:
    other = compile_policy(policy_golden.policy(TUNNELS.replace(was, becomes)), small_network())
    rules = first_generation(other)
    found = {router: rules.rules(router) for router in plan().network.router}
    assert verify(plan(), found, cases(plan().network, "none")).violations


def test_replies_of_such_protocols_are_explained() -> None:
    told = {(each.protocol, each.ports) for each in stateless_replies(plan(), "h-bodo", "h-tromso")}
    assert ("gre", "") in told


def test_names_and_numbers() -> None:
    assert parse_protocol("gre") is parse_protocol(47) is parse_protocol("47") is Protocol(47)
    assert parse_protocol("TCP") is parse_protocol(6) is Protocol.TCP
    assert pickle.loads(pickle.dumps(Protocol(47))) is Protocol(47)
    for name in NUMBERS:
        assert parse_protocol(protocol_name(parse_protocol(name))) is parse_protocol(name)


@pytest.mark.parametrize(
    ("value", "reason"),
    [("grre", "is no protocol"), (256, "is no protocol"), (-1, "is no protocol"), (True, "is no protocol"),
     (None, "is no protocol"), (1, "is ICMP"), ("58", "is ICMP"), (44, "is an extension header of IPv6 (fragment)"),
     ("ipv6-icmp", "is no protocol of a service")],
)  # fmt: skip
def test_what_is_no_protocol_is_refused(value: object, reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_protocol(value)
    assert caught.value.reason == reason


def test_sctp_without_ports_is_all_of_it() -> None:
    made = [
        compile_policy(policy_golden.policy(GOOD.replace("{protocol: icmp, class", text)), small_network())
        for text in ("{protocol: sctp, class", "{protocol: sctp, ports: [any], class", "{protocol: 132, class")
    ]
    assert {plan.service["ping"].ports for plan in made} == {(PortMatch(0, 0),)}
    both = "  a: {protocol: sctp, class: rest}\n  b: {protocol: sctp, ports: [5], class: rest}\nvpns:\n"
    text = GOOD.replace("vpns:\n", both, 1)
    with pytest.raises(InputError, match=r"services.b: 'sctp 5' is in service a already"):
        compile_policy(policy_golden.policy(text), small_network())


def test_ports_are_for_tcp_udp_and_sctp() -> None:
    text = GOOD.replace("{protocol: icmp, class", "{protocol: dccp, ports: [36412], class")
    with pytest.raises(InputError, match=r"services.ping.ports: dccp is matched without ports \(hint: remove ports\)"):
        compile_policy(policy_golden.policy(text), small_network())


def test_two_services_of_one_protocol_are_refused() -> None:
    text = GOOD.replace("vpns:\n", "  a: {protocol: gre, class: rest}\n  b: {protocol: 47, class: voice}\nvpns:\n", 1)
    with pytest.raises(InputError, match=r"services.b: 'gre' is in service a already"):
        compile_policy(policy_golden.policy(text), small_network())
