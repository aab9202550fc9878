"""Probe packets: which there are, what the policy expects of each, and what the rules make of it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from controller_plan import small_plan
from intended_rules import SEED, intended
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as Layer

from helsewan.controller.openflow.entries import IPV6, VLAN
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.frames import FIRST_FRAGMENT, LATER_FRAGMENT, read
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.expected.expected import Disposition, Intent
from helsewan.verification.live.generators import contracts
from helsewan.verification.live.generators.draft import Draft, DraftContext, ProbeKind
from helsewan.verification.live.outcome import Predicted
from helsewan.verification.live.test_packets import mark_of, number_in, probe_packets


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def fabric(plan: Plan) -> Fabric:
    return intended(plan)


def test_a_seed_gives_the_same_probes_and_another_seed_others(plan: Plan, fabric: Fabric) -> None:
    frames = [[each.frame for each in probe_packets(plan, fabric, seed)] for seed in (SEED, SEED, SEED + 1)]
    assert frames[0] == frames[1] != frames[2]


def test_every_probe_is_recognised_by_its_mark(plan: Plan, fabric: Fabric) -> None:
    probes = probe_packets(plan, fabric, SEED)
    assert [number_in(each.frame, mark_of(SEED)) for each in probes] == list(range(len(probes)))
    assert number_in(probes[0].frame, mark_of(SEED + 1)) is None


def test_every_contract_and_every_pair_of_roles_is_probed_in_both_versions() -> None:
    plan = compile_policy(load_policy(library_path("national")), national_network(130, seed=1))
    context = DraftContext(plan, intended(plan), Random(SEED))

    def subjects_of(drafts: list[Draft]) -> set[tuple[int, ...]]:
        versions = [{each.subject_ids for each in drafts if f"IPv{version}" in each.name} for version in (4, 6)]
        assert versions[0] == versions[1]
        return versions[0]

    alone = {role.id for role in plan.roles if len(role.sites) == 1}
    pairs = {(a.id, b.id) for a in plan.roles for b in plan.roles if a is not b or a.id not in alone}
    assert subjects_of(list(contracts.pairs(context))) == pairs
    usable = {(each.id,) for each in plan.contracts if each.client != each.server or each.client not in alone}
    assert subjects_of(list(contracts.contracts(context))) == usable


def test_all_kinds_are_sent_and_a_limit_is_divided_among_them(plan: Plan, fabric: Fabric) -> None:
    lines = sum(len(site.accesses) for site in plan.network.sites)
    bounded = probe_packets(plan, fabric, SEED, most=50)
    assert len(bounded) == 50 + 2 * lines
    for probes in (probe_packets(plan, fabric, SEED), bounded):
        assert {each.kind for each in probes} == set(ProbeKind)
    controls = [each for each in bounded if each.kind is ProbeKind.CONTROLS]
    assert controls == [*bounded[:lines], *bounded[-lines:]], "every access link is checked before and after"


def test_the_rules_conform_to_the_policy_in_every_probe(plan: Plan, fabric: Fabric) -> None:
    predicted = Predicted(plan, fabric)
    probes = probe_packets(plan, fabric, SEED)
    wrong = [
        each.name for each in probes if not predicted.outcome(each, predicted.trace(each)).conforms_to(each.expected)
    ]
    assert wrong == []
    assert {each.expected.disposition for each in probes} == set(Disposition)


def test_an_expired_ttl_is_answered_at_the_exact_router(plan: Plan, fabric: Fabric) -> None:
    predicted = Predicted(plan, fabric)
    outcomes = {
        each.name: predicted.outcome(each, predicted.trace(each))
        for each in probe_packets(plan, fabric, SEED)
        if each.kind is ProbeKind.TTL
    }
    assert outcomes
    for name, outcome in outcomes.items():
        words = name.split()
        ttl, routers = int(words[words.index("TTL") + 1]), int(words[words.index("for") + 1])
        assert bool(outcome.arrivals) == (ttl > routers), name
        assert outcome.answered == (ttl <= routers), name


def test_what_a_policy_expects_of_a_packet(plan: Plan) -> None:
    contract = next(each for each in plan.contracts if each.service == "messages")
    roles = {role.id: role for role in plan.roles}
    names = roles[contract.client].sites[0], roles[contract.server].sites[-1]
    client, server = (plan.network.site[name] for name in names)
    intent, there = Intent(plan), {"ipv4_src": str(client.address4), "ipv4_dst": str(server.address4)}
    opening = Packet.of(
        eth_type=0x0800, **there, ip_frag=0, nw_ttl=64, ip_proto=6, tcp_src=40_000, tcp_dst=443, tcp_flags=2
    )
    allowed = intent.of(client.id, opening)
    assert (allowed.disposition, allowed.towards, allowed.source) == (Disposition.ARRIVES, server.id, contract.source)
    assert intent.of(client.id, opening.but(nw_ttl=3)).disposition is Disposition.MAY_ARRIVE
    for other in (
        opening.but(tcp_dst=444),
        opening.but(ip_frag=1),
        opening.but(ipv4_src=str(server.address4)),
        opening.but(ipv4_dst="192.0.2.1"),
        opening.but(vlan_vid=0x1002),
        opening.but(eth_type=0x88CC),
    ):
        assert intent.of(client.id, other).disposition is Disposition.DENIED
    back = opening.but(ipv4_src=str(server.address4), ipv4_dst=str(client.address4), tcp_src=443, tcp_dst=40_000)
    assert intent.of(server.id, back).disposition is Disposition.DENIED, "it acknowledges nothing"
    assert intent.of(server.id, back.but(tcp_flags=0x12)).disposition is Disposition.ARRIVES
    gateway = opening.but(ipv4_dst=str(client.gateway4), ip_proto=1, icmpv4_type=8)
    assert intent.of(client.id, gateway).disposition is Disposition.ANSWERED


def test_sites_that_know_their_gateway_need_no_answer(plan: Plan) -> None:
    """As where the kernel datapath of Open vSwitch carries the frames."""
    site = plan.network.sites[0]
    solicitation = Packet.of(
        eth_type=0x86DD, ipv6_src="fe80::2", ipv6_dst="fe80::1", ip_proto=58, icmpv6_type=135, ipv6_nd_target="fe80::1"
    )
    verdicts = [
        Intent(replace(plan, answers_neighbours=answers)).of(site.id, solicitation).disposition
        for answers in (True, False)
    ]
    assert verdicts == [Disposition.ANSWERED, Disposition.DENIED]


HEAD = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def fields(*layers: Layer) -> dict[str, int]:
    built = HEAD.copy()
    for layer in layers:
        built /= layer
    return dict(read(bytes(built)).fields)


def test_a_second_tag_hides_what_is_behind_it() -> None:
    seen = fields(Dot1Q(vlan=5), Dot1Q(vlan=6), IP(src="10.0.0.1", dst="10.0.0.2"), UDP())
    assert (seen["vlan_vid"], seen["eth_type"]) == (0x1005, VLAN)
    assert "ipv4_src" not in seen


def test_extension_headers_are_skipped_and_a_whole_packet_is_no_fragment() -> None:
    ends = IPv6(src="fd00::1", dst="fd00::2")
    seen = fields(ends, IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(), TCP(dport=443))
    assert (seen["eth_type"], seen["ip_proto"], seen["tcp_dst"], seen["ip_frag"]) == (IPV6, 6, 443, 0)
    first = fields(ends, IPv6ExtHdrFragment(m=1), TCP(dport=443))
    assert (first["ip_proto"], first["ip_frag"]) == (6, FIRST_FRAGMENT)
    later = fields(ends, IPv6ExtHdrFragment(offset=3), TCP(dport=443))
    assert (later["ip_proto"], later["ip_frag"]) == (44, LATER_FRAGMENT)
    assert "tcp_dst" not in later


def test_an_invalid_header_reads_as_zeros() -> None:
    seen = fields(IP(src="10.0.0.1", dst="10.0.0.2", len=2000), UDP())
    assert (seen["ipv4_src"], seen["ip_proto"]) == (0, 0)
