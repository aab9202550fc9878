"""Sites with two access links in use: they are reached over the nearest one, or over the other one if it fails."""

from __future__ import annotations

from functools import cache

import policy_golden
import pytest
from controller_plan import plan_with_both_lines
from controller_switch import ICMP, UDP, Fabric, Fate
from policy_network import small_network

from helsewan.controller.openflow.entries import IPV4
from helsewan.controller.rules.generation import Generation
from helsewan.controller.rules.paths import Failures, compute_paths
from helsewan.controller.update.reconciler import Reconciler
from helsewan.policies.compile import compile_policy
from helsewan.policies.plan import SHORTEST
from helsewan.verification.concrete.fabric import End
from helsewan.verification.concrete.fabric import Fabric as Interpreted
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.failures import components, single_failures

PLAN = plan_with_both_lines()
NETWORK = PLAN.network
VOICE = {"ip_proto": UDP, "udp_src": 9, "udp_dst": 20000}
REPLY = {"ip_proto": 6, "tcp_src": 443, "tcp_dst": 40000, "tcp_flags": 0x12}


@cache
def generation() -> Generation:
    return Reconciler(PLAN).current


@cache
def fabric() -> Fabric:
    return Fabric.of(PLAN, {router: generation().rules(router) for router in NETWORK.router})


def sent(source: str, target: str, **header: int) -> Fate:
    return fabric().send(source, ipv4_dst=str(NETWORK.site[target].address4), **header)


@pytest.mark.parametrize(
    ("source", "target", "header", "routers"),
    [
        ("bergen-gp", "st-olav", VOICE, ("bergen",)),
        ("trondheim-gp", "st-olav", VOICE, ("trondheim",)),
        ("broker", "st-olav", REPLY, ("oslo1", "bergen")),  # 2.4 ms, and 2.6 ms to the first router's
        ("bodo-gp", "unn", VOICE, ("bodo",)),
        ("broker", "unn", REPLY, ("oslo1", "oslo2", "trondheim", "bodo")),
    ],
)
def test_a_site_is_reached_over_the_nearest_access_link(
    source: str, target: str, header: dict[str, int], routers: tuple[str, ...]
) -> None:
    fate = sent(source, target, **header)
    assert (fate.site, fate.routers) == (target, routers)


def test_the_routers_of_an_egress_set_end_its_paths() -> None:
    paths = compute_paths(NETWORK, PLAN.egresses)
    for egress in PLAN.egresses:
        if egress.both:
            assert {paths.target[router, egress.index] for router in egress.routers} == set(egress.routers)


@pytest.mark.parametrize("known", [False, True])
def test_every_failure_is_survived(known: bool) -> None:
    """By local repair alone, and after the controller's update. In so small a ring no detour avoids both a neighbour
    and a whole shared-risk group, so the failure of that group is repaired by the controller only."""
    for name, failed in single_failures(NETWORK):
        if name.startswith("srlg") and not known:
            continue
        core = generation().with_paths(failed) if known else generation()
        rules = {router: core.rules(router) for router in NETWORK.router}
        switches = Interpreted(NETWORK, Interpreted.of(NETWORK, rules).switches, failed)
        check(switches, failed)


def check(switches: Interpreted, failed: Failures) -> None:
    """Permitted packets between connected sites are delivered, and there are no loops."""
    part_of = components(NETWORK, failed)
    for source in NETWORK.site.values():
        if source.homing[0] in failed.routers:
            continue
        for target in NETWORK.site.values():
            walk = switches.trace_from(source.id, probe(source.id, target.id))
            assert walk.end is not End.LOOPED
            whole = fabric().reading.trace_from(source.id, probe(source.id, target.id))
            left = {part_of[router] for router in target.homing if router in part_of}
            if whole.end is End.DELIVERED and part_of[source.homing[0]] in left:
                assert (walk.end, walk.site) == (End.DELIVERED, target.id), f"{failed}\n{walk}"


def probe(source: str, target: str) -> Packet:
    """An echo request from one site to another."""
    ends = (str(NETWORK.site[site].address4) for site in (source, target))
    header = {"eth_type": IPV4, "eth_src": 0, "eth_dst": 0, "ip_frag": 0, "ip_dscp": 0, "nw_ttl": 64}
    return Packet.of(**header, **dict(zip(("ipv4_src", "ipv4_dst"), ends, strict=True)), ip_proto=ICMP, icmpv4_type=8)


def test_a_policy_selects_the_vpns_that_use_both() -> None:
    text = (policy_golden.GOLDEN / "small.yaml").read_text(encoding="utf-8")
    text = text.replace("    members: {site: [h-st-olav", "    lines: both\n    members: {site: [h-st-olav", 1)
    plan = compile_policy(policy_golden.policy(text), small_network())
    dual = [site for site in plan.network.sites if len(site.accesses) > 1]
    ways = {site.id: plan.egresses[plan.egress_to(site.id, SHORTEST)] for site in dual}
    used = {plan.role_of_site[site].vpn: way.both for site, way in ways.items()}
    assert used.pop("care") and used and not any(used.values())
