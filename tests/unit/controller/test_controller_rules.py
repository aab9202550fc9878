"""The rules implement the plan: every pair of sites and every service, by an independent interpreter of the rules."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import chain, permutations
from typing import Any

import pytest
from controller_plan import plan_with_choices, small_plan
from controller_switch import ICMP, TCP, UDP, Fabric, Fate
from hypothesis import given
from hypothesis import strategies as st

from helsewan.controller.openflow.entries import (
    IPV6,
    MPLS,
    Bucket,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    MeterRule,
    Move,
    Output,
    PopMpls,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
)
from helsewan.controller.openflow.pipeline import (
    DESTINATION_VPN,
    VRF,
    Drop,
    PipelineError,
    Purpose,
    check,
    cookie,
    purpose_of,
)
from helsewan.controller.rules.paths import compute_paths
from helsewan.controller.update.reconciler import Reconciler
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import SHORTEST
from helsewan.topology.national.generator import national_network
from helsewan.verification.concrete.packet import number

PLAN = small_plan()
SITES = tuple(PLAN.network.site)
OPENINGS: dict[str, dict[str, Any]] = {
    "voice": {"ip_proto": UDP, "udp_src": 9, "udp_dst": 20000},
    "messages": {"ip_proto": TCP, "tcp_src": 40000, "tcp_dst": 443, "tcp_flags_nxm": 0x02},
    "ping": {"ip_proto": ICMP, "icmpv4_type": 8},
}
REPLIES: dict[str, dict[str, Any]] = {
    "voice": {"ip_proto": UDP, "udp_src": 20000, "udp_dst": 9},
    "messages": {"ip_proto": TCP, "tcp_src": 443, "tcp_dst": 40000, "tcp_flags_nxm": 0x12},
    "ping": {"ip_proto": ICMP, "icmpv4_type": 0},
}

IP_PACKET, MPLS_PACKET = (("eth_type", 0x800),), (("eth_type", MPLS),)


@cache
def fabric() -> Fabric:
    """The small network with its rules installed."""
    reconciler = Reconciler(PLAN)
    return Fabric.of(PLAN, {router: reconciler.target(router) for router in PLAN.network.router})


def sent(source: str, destination: str, header: dict[str, Any], **more: Any) -> Fate:
    """The result of a packet between two sites."""
    return fabric().send(source, ipv4_dst=str(PLAN.network.site[destination].address4), **header, **more)


def arrives(fate: Fate, destination: str) -> bool:
    """Whether it was delivered to the site over its primary access link; a wrong delivery fails the test."""
    site = PLAN.network.site[destination]
    if fate.vlan is None:
        return False
    assert (fate.router, fate.vlan) == (site.homing[0], site.accesses[0].vlan)
    assert fate.packet.fields["eth_dst"] == number(site.mac) and not fate.packet.labels
    return True


def visible(source: str, destination: str) -> bool:
    """Whether the source's VPN imports the destination's (RFC 4364)."""
    home = PLAN.vpn[PLAN.role_of_site[source].vpn]
    return PLAN.vpn[PLAN.role_of_site[destination].vpn] in PLAN.imports_from(home)


@pytest.mark.parametrize("service", sorted(OPENINGS))
def test_exactly_the_contracts_are_open(service: str) -> None:
    for source, destination in permutations(SITES, 2):
        roles = PLAN.role_of_site[source].id, PLAN.role_of_site[destination].id
        allowed = (*roles, service) in PLAN.allowed and visible(source, destination)
        fate = sent(source, destination, OPENINGS[service])
        assert arrives(fate, destination) is allowed, (source, destination)
        if not allowed:
            expected = Drop.NO_CONTRACT if visible(source, destination) else Drop.NO_ROUTE
            assert fate.dropped_for == expected or (*reversed(roles), service) in PLAN.allowed


@pytest.mark.parametrize("service", sorted(REPLIES))
def test_exactly_the_servers_answer(service: str) -> None:
    for server, client in permutations(SITES, 2):
        roles = PLAN.role_of_site[client].id, PLAN.role_of_site[server].id
        fate = sent(server, client, REPLIES[service])
        assert arrives(fate, client) is ((*roles, service) in PLAN.allowed), (server, client)


@pytest.mark.parametrize("service", sorted(OPENINGS))
def test_the_same_contracts_are_open_over_ipv6(service: str) -> None:
    header = {"ip_proto": 58, "icmpv6_type": 128} if service == "ping" else OPENINGS[service]
    for source, destination in permutations(SITES, 2):
        ends = (str(PLAN.network.site[site].address6) for site in (source, destination))
        fate = fabric().send(source, **dict(zip(("ipv6_src", "ipv6_dst"), ends, strict=True)), eth_type=IPV6, **header)
        roles = PLAN.role_of_site[source].id, PLAN.role_of_site[destination].id
        assert arrives(fate, destination) is ((*roles, service) in PLAN.allowed), (source, destination)
        if not visible(source, destination):
            assert fate.dropped_for == Drop.NO_ROUTE


def test_server_cannot_open_from_its_port() -> None:
    assert arrives(sent("broker", "bodo-gp", REPLIES["messages"]), "bodo-gp")
    syn = {**REPLIES["messages"], "tcp_flags_nxm": 0x02}
    assert sent("broker", "bodo-gp", syn).dropped_for == Drop.NO_CONTRACT


@pytest.mark.parametrize(
    ("service", "source", "destination", "vpn_label", "dscp"),
    [("messages", "st-olav", "broker", 103, 18), ("voice", "st-olav", "bergen-gp", 101, 46)],
)
def test_class_is_marked_and_carried_on_both_labels(
    service: str, source: str, destination: str, vpn_label: int, dscp: int
) -> None:
    fate = sent(source, destination, OPENINGS[service], ip_dscp=7)
    assert fate.packet.fields["ip_dscp"] == dscp
    assert len(fate.labels) == len(fate.routers) - 1 >= 1
    for bottom, top in fate.labels:
        assert bottom == (vpn_label, dscp >> 3)
        assert top[1] == dscp >> 3


def test_classes_have_paths_of_their_own() -> None:
    """Voice from Trondheim takes a detour to Bergen; echo requests and replies stay on the shortest path."""
    plan = plan_with_choices("voice")
    reconciler = Reconciler(plan)
    programs = {router: reconciler.target(router) for router in plan.network.router}
    switches = Fabric.of(plan, programs)
    for entry in chain.from_iterable(programs.values()):
        check(entry)
    to = str(plan.network.site["bergen-gp"].address4)
    assert switches.send("st-olav", ipv4_dst=to, **OPENINGS["voice"]).routers == (
        "trondheim",
        "oslo2",
        "oslo1",
        "bergen",
    )
    assert switches.send("st-olav", ipv4_dst=to, **REPLIES["ping"]).routers == ("trondheim", "bergen")
    more = len(reconciler.current.access["trondheim"]) - len(Reconciler(PLAN).current.access["trondheim"])
    routes = [
        rule for rule in reconciler.current.access["trondheim"].flows if purpose_of(rule.cookie)[0] is Purpose.ROUTE
    ]
    assert 0 < more < len(routes) / 2  # one rule more per remote route


def test_spoofed_source_is_dropped() -> None:
    fate = sent("bodo-gp", "unn", OPENINGS["voice"], ipv4_src="10.1.0.2")
    assert fate.dropped_for == Drop.SPOOFED


def test_fragments_are_dropped() -> None:
    assert sent("unn", "bodo-gp", {"ip_proto": UDP, "udp_src": 0, "udp_dst": 0}, ip_frag=3).dropped_for == Drop.FRAGMENT
    assert sent("bodo-gp", "unn", {"ip_proto": ICMP, "icmpv4_type": 0}, ip_frag=3).dropped_for == Drop.FRAGMENT
    assert sent("unn", "bodo-gp", OPENINGS["voice"], ip_frag=1).dropped_for == Drop.FRAGMENT


def test_gateway_answers_pings() -> None:
    fate = fabric().send("bodo-gp", ipv4_dst="10.2.0.1", ip_proto=ICMP, icmpv4_type=8, eth_src="02:51:00:00:00:02")
    answer = fate.packet.fields
    assert (fate.router, fate.vlan, answer["icmpv4_type"]) == ("bodo", 102, 0)
    assert (answer["ipv4_src"], answer["ipv4_dst"]) == (number("10.2.0.1"), number("10.2.0.2"))
    assert (answer["eth_src"], answer["eth_dst"]) == (number("02:70:00:00:00:05"), number("02:51:00:00:00:02"))


def test_gateway_answers_arp() -> None:
    request = {"eth_type": 0x0806, "arp_op": 1, "arp_spa": "10.2.0.2", "arp_sha": "02:51:00:00:00:02", "arp_tha": 0}
    fate = fabric().send("bodo-gp", **request, arp_tpa="10.2.0.1", eth_src="02:51:00:00:00:02")
    answer = fate.packet.fields
    assert (fate.vlan, answer["arp_op"], answer["arp_sha"]) == (102, 2, number("02:70:00:00:00:05"))
    assert (answer["arp_spa"], answer["arp_tpa"]) == (number("10.2.0.1"), number("10.2.0.2"))
    assert answer["arp_tha"] == number("02:51:00:00:00:02")
    assert fabric().send("bodo-gp", **request, arp_tpa="10.3.0.1").dropped_for == Drop.NOT_IP


def test_packets_with_expired_ttl_are_not_delivered() -> None:
    assert sent("bodo-gp", "unn", OPENINGS["voice"], nw_ttl=1).vlan is None
    assert arrives(sent("bodo-gp", "unn", OPENINGS["voice"], nw_ttl=3), "unn")


@cache
def national() -> tuple[Reconciler, Reconciler]:
    """The national network with few and with many sites."""
    policy = load_policy(library_path("national"))
    few, many = (Reconciler(compile_policy(policy, national_network(sites=sites, seed=1))) for sites in (300, 400))
    return few, many


def test_every_rule_passes_the_pipeline_check() -> None:
    for reconciler in (Reconciler(PLAN), national()[0]):
        for router in reconciler.plan.network.router:
            for entry in reconciler.target(router):
                check(entry)


def test_core_does_not_grow_with_sites() -> None:
    """With least-delay paths, core rules depend only on routers and the sets of routers that sites are attached to, of
    which small networks lack some; load-dependent paths have as many trees."""
    policy = load_policy(library_path("national"))
    few, many = (compile_policy(policy, national_network(sites=sites, seed=1)) for sites in (1000, 2500))
    by_delay = tuple(egress for egress in many.egresses if egress.path == SHORTEST)
    assert len(many.egresses) == 2 * len(by_delay)
    bare = (replace(plan, egresses=by_delay, contracts=(), routes=()) for plan in (few, many))
    one, other = (Reconciler(plan).current.core for plan in bare)
    assert one == other
    detours = [len(compute_paths(p.network, p.egresses, traffic=p.traffic).detours) for p in (few, many)]
    assert detours[1] < detours[0] * 1.1


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (FlowRule(Table.DELIVER, 1, (("in_port", 1),)), "does not match in_port"),
        (FlowRule(Table.DELIVER, 1, (("ipv4_dst", "10.0.0.1"),)), "requires eth_type=0x800"),
        (FlowRule(Table.VRF, 1, (), (PushVlan(),)), "PushVlan is not allowed here"),
        (FlowRule(Table.DELIVER, 1, (), (SetField("ip_dscp", 1),)), "setting ip_dscp is not allowed here"),
        (FlowRule(Table.VRF, 1, (), goto=Table.ROUTE), "goto from this table is not allowed"),
        (FlowRule(Table.CORE, 1, (), goto=Table.ADMIT), "goto from this table is not allowed"),
        (FlowRule(Table.VRF, 1, (), metadata=VRF.of(1)), "does not write that metadata"),
        (FlowRule(Table.VRF, 1, (), meter=1), "has no meters"),
        (GroupRule(1, (Bucket(1, (PushVlan(),)),)), "PushVlan is not allowed here"),
        (GroupRule(1, (Bucket(1, (PushMpls(), SetField("mpls_tc", 1))),)), "setting mpls_tc is not allowed here"),
        (GroupRule(1, (Bucket(1, (Resubmit(Table.DELIVER),)),)), "resubmit to table deliver is not allowed"),
        (GroupRule(1, (Bucket(1, (SetField("mpls_label", 1), PushMpls(), Output(2))),)), "not in the order"),
        (GroupRule(1, (Bucket(1, (PushMpls(), Output(2), Output(3))),)), "more than one output"),
        (GroupRule(1, (Bucket(1, (Output(2),)),)), "1 labels instead of 2"),
        (GroupRule(10_000, (Bucket(1, (PushMpls(), Output(2))),)), "3 labels instead of 2"),
        (GroupRule(10_000, (Bucket(1, (Resubmit(Table.VPN),)),)), "2 labels instead of 1"),
        (FlowRule(Table.ROUTE, 1, (), (PushMpls(),) * 4), "4 labels"),
        (FlowRule(Table.ROUTE, 1, (), (PushMpls(), Group(10_000))), "1 labels instead of 2"),
        (FlowRule(Table.CORE, 1, (), (PopMpls(0x8847), PopMpls(0x8847)), Table.VPN), "0 labels for table vpn"),
        (FlowRule(Table.VPN, 1, (), (PopMpls(0x800), PopMpls(0x800))), "-1 labels"),
        (FlowRule(Table.VPN, 1, (), metadata=(1 << 48, 0)), "outside its mask"),
        (FlowRule(Table.CORE, 1, (("mpls_label", 5), ("eth_type", 0x8847))), "requires eth_type=0x8847 before it"),
        (
            FlowRule(Table.CONTRACT, 1, (("eth_type", 0x800), ("ip_proto", 17), ("tcp_dst", 5))),
            "tcp_dst requires ip_proto",
        ),
        (
            FlowRule(Table.CONTRACT, 1, (), (SetField("ip_dscp", 5),)),
            "ip_dscp requires eth_type=0x800 or eth_type=0x86dd",
        ),
        (FlowRule(Table.DELIVER, 1, (), (DecTtl(),)), "DecTtl requires eth_type"),
        (FlowRule(Table.CORE, 1, (), (DecMplsTtl(),)), "DecMplsTtl requires eth_type=0x8847"),
        (FlowRule(Table.CORE, 1, (), (Move("mpls_ttl", "reg1", 8),)), "mpls_ttl requires eth_type=0x8847"),
        (
            FlowRule(Table.VPN, 1, MPLS_PACKET, (PopMpls(MPLS), Move("reg1", "nw_ttl", 8))),
            "nw_ttl requires eth_type",
        ),
        (
            FlowRule(Table.ROUTE, 1, IP_PACKET, (PushMpls(), Move("ip_dscp", "reg0", 3))),
            "ip_dscp requires eth_type=0x800",
        ),
        (
            FlowRule(Table.NEIGHBOUR, 1, IP_PACKET, (SetField("ipv6_nd_tll", "02::"),)),
            "ipv6_nd_tll requires icmpv6",
        ),
        (
            GroupRule(10_000, (Bucket(1, (PopMpls(0x800), SetField("mpls_label", 1))),)),
            "mpls_label requires eth_type",
        ),
        (MeterRule(1, 0, 1), "needs a rate"),
        (MeterRule(1, 1, 0), "needs a rate and a burst"),
    ],
)
def test_rules_outside_the_pipeline_are_rejected(entry: FlowRule | GroupRule | MeterRule, reason: str) -> None:
    with pytest.raises(PipelineError, match=reason):
        check(entry)


def test_a_number_too_large_for_its_field_is_rejected() -> None:
    assert DESTINATION_VPN.of(0x7FFF) == (0x7FFF << 48, 0x7FFF << 48)
    with pytest.raises(PipelineError, match="does not fit"):
        VRF.of(0x400)


@given(st.sampled_from(Purpose), st.integers(0, 0xFFFFFFFF))
def test_cookies_contain_purpose_and_number(purpose: Purpose, number: int) -> None:
    assert purpose_of(cookie(purpose, number)) == (purpose, number)


def test_rules_as_text() -> None:
    rule = FlowRule(Table.DELIVER, 5, (("eth_type", 2048),), (DecTtl(), Output(1)))
    assert str(rule) == "table deliver, priority 5: eth_type=0x800 -> DecTtl; Output 1"
    group = GroupRule(7, (Bucket(1, (Resubmit(Table.VPN),)),))
    assert str(group) == "group 7: port 1 up: Resubmit vpn"
    assert str(MeterRule(1, 64, 24)) == "meter 1: drop above 64 kbit/s, burst 24 kbit"


def test_no_neighbour_rules_for_switches_without_support() -> None:
    """The kernel datapath of Open vSwitch rejects the fields of neighbour discovery, and so the whole bundle."""
    plan = replace(PLAN, answers_neighbours=False)
    told = "".join(str(rule) for router in PLAN.network.router for rule in Reconciler(plan).target(router))
    assert "nd_" not in told and "table neighbour" not in told
    assert "nd_reserved" in "".join(map(str, Reconciler(PLAN).target("bodo")))
