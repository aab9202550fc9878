"""What classes say of their paths is kept by the rules themselves, on the whole network; and nothing is lost for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import permutations, product

import pytest
from controller_plan import small_plan
from path_repair import unrepaired

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.controller.rules.generation import Generation, first_generation
from helsewan.controller.rules.ip_version import IP4
from helsewan.controller.rules.paths import compute_paths
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.language.source import read_policy
from helsewan.policies.passes.constraints import breaches
from helsewan.policies.paths.placement import place
from helsewan.policies.plan import SHORTEST, Egress, PathAlgorithm, Plan, Risk, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.model import Kind, Link, Network
from helsewan.topology.national.generator import national_network
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.path_trace import packet_of
from helsewan.verification.failures import components, single_failures

CHOICES = ("least-delay", "least-loaded", "min-max")


@cache
def country(constraint: str, path: str = "least-delay", name: str = "voice") -> Plan:
    """Hospitals, services and data centres under the national policy, with a line more in class voice or another."""
    text = library_path("national").read_text(encoding="utf-8")
    assert text.count(f"\n  {name}: #") == 1
    added = f"\n  {name}:\n    path: {path}\n    {constraint} #"
    policy = read_policy(loads(text.replace(f"\n  {name}: #", added).encode(), "bent.yaml"))
    return compile_policy(policy, national_network(sites=None, seed=1))


@cache
def generation(constraint: str, path: str = "least-delay") -> Generation:
    """The rules of the whole network under it."""
    return first_generation(country(constraint, path))


def ways(plan: Plan, rules: Generation, name: str) -> Iterator[tuple[Trace, tuple[Link, ...]]]:
    """The way of a datagram of a class between hospitals at many routers, as the rules lead it."""
    fabric = Fabric.of(plan.network, {router: rules.rules(router) for router in plan.network.router})
    hospitals = {site.homing[0]: site for site in plan.network.sites if site.kind is Kind.HOSPITAL}
    for a, b in permutations(list(hospitals.values())[::3], 2):
        walk = fabric.trace_from(a.id, packet_of(plan.service[name], a, b, IP4))
        assert (walk.end, walk.site) == (End.DELIVERED, b.id)
        yield walk, tuple(plan.network.link[link] for link in fabric.links(walk))


def taken(constraint: str, path: str = "least-delay", name: str = "voice") -> tuple[set[str], set[str]]:
    """The links that a class takes, and the routers it goes through."""
    plan, rules = country(constraint, path), generation(constraint, path)
    links, through = set[str](), set[str]()
    for walk, each in ways(plan, rules, name):
        links |= {link.id for link in each}
        through |= set(walk.routers[1:-1])
    return links, through


@pytest.mark.parametrize("path", CHOICES)
def test_what_is_avoided_is_on_no_way(path: str) -> None:
    links, through = taken("avoid: {links: [oslo-hamar], srlg: [e39-n], pops: [drammen]}", path)
    assert not {"oslo-hamar", "haugesund-bergen"} & links and "drammen" not in through


def test_other_classes_go_where_they_went() -> None:
    links, through = taken("avoid: {links: [oslo-hamar], pops: [drammen]}", name="video")
    assert "oslo-hamar" in links and "drammen" in through


def test_what_is_preferred_is_taken_though_it_is_longer() -> None:
    """From Oslo to Trondheim over Dovre: the Røros line is 22 km shorter."""
    without, _ = taken("prefer: {links: [vadso-kirkenes]}")
    links, _ = taken("prefer: {srlg: [dovre]}")
    assert "elverum-tynset" in without - links


def test_every_failure_is_survived_with_what_a_class_avoids() -> None:
    """Repaired where it happens, and led anew once the controller knows: at worst over what is avoided."""
    plan = country("avoid: {links: [vadso-kirkenes, oslo-hamar]}")
    path, ends = plan.traffic_class["voice"].path, ["kirkenes", "hamar", "oslo-1"]
    apart = tuple(Egress(index, (end,), path) for index, end in enumerate(ends))
    calm, over = compute_paths(plan.network, apart), set[str]()
    for name, failed in single_failures(plan.network):
        assert not unrepaired(plan.network, apart, calm, failed), name
        paths = compute_paths(plan.network, apart, failed)
        assert not unrepaired(plan.network, apart, paths, failed), name
        over |= set(paths.primary.values())
    assert "vadso-kirkenes" not in calm.primary.values() and "vadso-kirkenes" in over


def test_breaches_of_trees_are_found() -> None:
    """Trees placed after a failure that leaves no clean way: the check of the whole network would refuse them."""
    plan = country("avoid: {links: [vadso-kirkenes]}")
    whole = BackboneGraph(plan.network)
    assert not list(breaches(plan, place(whole, plan.egresses, plan.traffic)))
    cut = place(whole.without(["karasjok-kirkenes"], ()), plan.egresses, plan.traffic)
    found = list(breaches(plan, cut))
    assert found and all("kirkenes" in {breach.router, *breach.egress.routers} for breach in found)


def test_a_policy_that_leaves_no_way_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        country("avoid: {links: [vadso-kirkenes, karasjok-kirkenes]}")
    assert "classes.voice.avoid: leaves no path from" in str(caught.value) and "kirkenes" in str(caught.value)


APART = "disjoint: {from: [voice]}"


def between_towns(plan: Plan, links: tuple[Link, ...]) -> set[str]:
    """The links that are fibres between two towns."""
    return {link.id for link in links if plan.network.pop_of(link.a) is not plan.network.pop_of(link.b)}


def test_two_classes_share_no_fibre_between_the_same_routers() -> None:
    """And the first takes the ways it would take alone."""
    plan = country(APART, name="video")
    rules = first_generation(plan)
    compared = 0
    for (walk, one), (other, two) in zip(ways(plan, rules, "voice"), ways(plan, rules, "video"), strict=True):
        assert walk.routers[0] == other.routers[0] and walk.routers[-1] == other.routers[-1]
        assert between_towns(plan, one).isdisjoint(between_towns(plan, two)), f"{walk}\n{other}"
        compared += bool(between_towns(plan, one))
    assert compared
    alone = compile_policy(load_policy(library_path("national")), plan.network)
    here, there = (ways(each, first_generation(each), "voice") for each in (plan, alone))
    assert [walk.routers for walk, _ in here] == [walk.routers for walk, _ in there]


def in_common(plan: Plan, kind: str) -> int:
    """How many ways that are to be apart from the shortest ones, and could be, have links, groups or towns in common
    with them."""
    placement, found = place(BackboneGraph(plan.network), plan.egresses, plan.traffic), 0
    for egress in (egress for egress in plan.egresses if egress.path.disjoint_from):
        shortest = placement.paths(plan.egress_index[egress.routers, egress.both, SHORTEST])
        for router, way in placement.paths(egress.index).items():
            risks = [risks_of(plan.network, each, kind) for each in (way, shortest[router])]
            found += router not in placement.disjoint[egress.index].sharing and bool(risks[0] & risks[1])
    return found


def test_shared_risk_groups_and_towns_count_if_asked_for() -> None:
    """On the ring with its chord. Oslo-Bergen and Oslo-Trondheim leave in one trench."""
    assert in_common(ring(Risk.LINKS), "links") == 0
    assert in_common(ring(Risk.LINKS), "groups") and in_common(country(APART, name="video"), "towns")
    assert in_common(ring(Risk.LINKS, Risk.SRLG), "groups") == 0
    assert in_common(ring(Risk.LINKS, Risk.POPS), "towns") == 0


def risks_of(network: Network, way: dict[str, str], kind: str) -> set[str]:
    """The links, their groups, or the towns between the ends of a way."""
    every = [network.link[link] for link in way.values()]
    links = [link for link in every if network.pop_of(link.a) is not network.pop_of(link.b)]
    if kind == "groups":
        return {group for link in links for group in link.srlg}
    if kind == "links" or not links:
        return {link.id for link in links}
    routers = [*way, every[-1].other(list(way)[-1])]
    ends = {network.pop_of(router).id for router in (routers[0], routers[-1])}
    return {network.pop_of(router).id for router in way} - ends


def ring(*share_no: Risk) -> Plan:
    """The small plan of the controller's tests, with best effort apart from all others."""
    plan, path = small_plan(), PathAlgorithm(disjoint_from=(SHORTEST,), disjoint_in=frozenset(share_no))
    classes = tuple(replace(cls, path=path) if cls.name == "best-effort" else cls for cls in plan.classes)
    more = tuple(Egress(len(plan.egresses) + egress.index, egress.routers, path) for egress in plan.egresses)
    return replace(plan, classes=classes, egresses=plan.egresses + more)


def test_every_failure_is_survived_by_ways_apart_in_the_rules_themselves() -> None:
    """Pings between all sites that may, in class best effort: repaired where it happens, and once the controller knows.
    The small network's trench is no single failure that it can repair (test_controller_paths.py)."""
    plan = ring(Risk.LINKS)
    calm, arrived = first_generation(plan), 0
    for name, failed in single_failures(plan.network):
        part_of = components(plan.network, failed)
        for rules in (calm, calm.with_paths(failed)) if name != "srlg oslo-west" else (calm.with_paths(failed),):
            fabric = Fabric.of(plan.network, {router: rules.rules(router) for router in plan.network.router})
            fabric = replace(fabric, failures=failed)
            for contract in (contract for contract in plan.contracts if contract.service == "ping"):
                a, b = (plan.network.site[plan.roles[role - 1].sites[0]] for role in (contract.client, contract.server))
                packet = packet_of(plan.service["ping"], a, b, IP4)
                if a.homing[0] in failed.routers or not {part_of.get(each) for each in b.homing} & {
                    part_of[a.homing[0]]
                }:
                    continue
                walk = fabric.trace_from(a.id, packet)
                assert (walk.end, walk.site) == (End.DELIVERED, b.id), f"{name}\n{walk}"
                arrived += 1
    assert arrived


@pytest.mark.exhaustive
def test_every_failure_is_survived_by_ways_apart_in_the_country() -> None:
    plan = country(APART, name="video")
    path, ends = plan.traffic_class["video"].path, ["kirkenes", "hamar", "oslo-1"]
    both = [Egress(index, (end,), how) for index, (how, end) in enumerate(product((SHORTEST, path), ends))]
    calm = compute_paths(plan.network, tuple(both))
    assert calm.entry_tree
    for name, failed in single_failures(plan.network):
        assert not unrepaired(plan.network, tuple(both), calm, failed), name
        paths = compute_paths(plan.network, tuple(both), failed)
        assert not unrepaired(plan.network, tuple(both), paths, failed), name


def test_load_of_ways_apart_is_where_they_lead() -> None:
    plan = ring(Risk.LINKS)
    egress = next(egress for egress in plan.egresses if egress.path.disjoint_from and egress.routers == ("bodo",))
    placement = place(BackboneGraph(plan.network), plan.egresses, Traffic({("bergen", egress.index): 7}))
    way = placement.paths(egress.index)["bergen"]
    loaded = {arc for arc, load in enumerate(placement.load_bps) if load}
    assert way and loaded == {placement.graph.arcs.leaving(*hop) for hop in way.items()}
    assert set(placement.load_bps) == {0, 7}
