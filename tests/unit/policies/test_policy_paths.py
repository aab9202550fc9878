"""Demand and its placement: what sites send adds up, and no choice of paths is worse than the shortest ones."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import policy_golden
import pytest
from controller_plan import CLASSES
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_network import small_network

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.language.source import read_policy
from helsewan.policies.passes.routing import compile_egresses
from helsewan.policies.paths.demand import class_shares
from helsewan.policies.paths.minmax import least_utilisation
from helsewan.policies.paths.placed_trees import Placement
from helsewan.policies.paths.placement import place
from helsewan.policies.plan import SHORTEST, Egress, PathAlgorithm, PathChoice, Traffic, Vpn
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.model import Link, Network, Pop, Region, Router
from helsewan.topology.national.generator import national_network

LOAD_CHOICES = (PathAlgorithm(PathChoice.LEAST_LOADED), PathAlgorithm(PathChoice.MIN_MAX))


def drawn_network(count: int, ends: list[tuple[int, int, int, int]]) -> Network:
    """Routers r0, r1, ... and links (from, to, delay, rate)."""
    names = [f"r{number}" for number in range(count)]
    links = tuple(
        Link(f"l{i}", names[a], names[b], rate, delay, 1.0) for i, (a, b, delay, rate) in enumerate(ends) if a != b
    )
    pops = tuple(Pop(name, name, Region.MIDT, 0.0, 0.0, (name,)) for name in names)
    routers = tuple(Router(name, name, index) for index, name in enumerate(names, start=1))
    return Network("drawn", 1, pops, routers, links, (), {}, {}, {}, {})


@st.composite
def demands(draw: st.DrawFn) -> tuple[Network, tuple[Egress, ...], Traffic]:
    """A network of up to seven routers, egress sets of one and two routers, and demand for them."""
    count = draw(st.integers(2, 7))
    node = st.integers(0, count - 1)
    ends = draw(st.lists(st.tuples(node, node, st.integers(0, 9), st.sampled_from([50, 100, 400])), max_size=14))
    network = drawn_network(count, ends)
    sets = draw(st.lists(st.lists(node, min_size=1, max_size=2, unique=True), min_size=1, max_size=4))
    both = draw(st.lists(st.booleans(), min_size=len(sets), max_size=len(sets)))
    egresses = tuple(
        Egress(index, tuple(f"r{i}" for i in members), both=both[index] and len(members) > 1)
        for index, members in enumerate(sets)
    )
    keys = st.tuples(st.sampled_from([r.id for r in network.routers]), st.integers(0, len(sets) - 1))
    return network, egresses, Traffic(draw(st.dictionaries(keys, st.integers(1, 60), max_size=12)))


def arrivals(placement: Placement, egress: Egress) -> None:
    """Every router that is connected to the egress set is led to its first reachable member, or where both are in use
    to any, in no circle."""
    network = placement.graph.arcs.network
    component = {node: part for part in nx.connected_components(network.graph) for node in part}
    for router in network.router:
        end = next((end for end in egress.routers if end in component[router]), None)
        tree = next((ways for ways in placement.trees[egress.index] if ways.reaches(router)), None)
        assert (tree is None) is (end is None)
        root = tree.root_of(router) if tree else None
        assert root in egress.routers if tree and egress.both else root == end
        steps = 0
        while tree is not None and router != root:
            router, steps = network.link[tree.link_at(router)].other(router), steps + 1
            assert steps < len(network.routers)


def walked_bps(placement: Placement, egresses: tuple[Egress, ...]) -> dict[tuple[str, str], int]:
    """(router, link) -> load, by following every demand hop by hop."""
    network, found = placement.graph.arcs.network, dict[tuple[str, str], int]()
    for (router, index), rate in placement.traffic.demand_bps.items():
        tree = next((ways for ways in placement.trees[egresses[index].index] if ways.reaches(router)), None)
        root = tree.root_of(router) if tree else None
        while tree is not None and router != root:
            link = tree.link_at(router)
            found[router, link] = found.get((router, link), 0) + rate
            router = network.link[link].other(router)
    return found


@settings(max_examples=80, deadline=None)
@given(demands(), st.sampled_from([PathAlgorithm(choice) for choice in PathChoice]))
def test_every_choice_gives_trees_and_none_is_fuller_than_the_shortest(
    drawn: tuple[Network, tuple[Egress, ...], Traffic], path: PathAlgorithm
) -> None:
    network, egresses, traffic = drawn
    shortest = place(BackboneGraph(network), egresses, traffic)
    chosen = tuple(replace(egress, path=path) for egress in egresses)
    placement = place(BackboneGraph(network), chosen, traffic)
    for egress in chosen:
        arrivals(placement, egress)
    arcs = placement.graph.arcs
    loads_by_arc = {
        (arcs.routers[a], placement.graph.carrier[arc]): load
        for arc, ((a, _), load) in enumerate(zip(arcs.ends, placement.load_bps, strict=True))
        if load > 0.5
    }
    assert loads_by_arc == pytest.approx(walked_bps(placement, chosen))
    assert placement.utilisation.max(initial=0.0) <= shortest.utilisation.max(initial=0.0) + 1e-6
    bound = least_utilisation(shortest, egresses).bound
    assert bound <= placement.utilisation.max(initial=0.0) + 1e-6


@settings(max_examples=80, deadline=None)
@given(demands(), st.sampled_from([0.3, 0.6, 1.0]))
def test_limit_is_kept_or_the_way_is_shortest(drawn: tuple[Network, tuple[Egress, ...], Traffic], fill: float) -> None:
    """With a limit, what leaves the shortest tree does so for room: it fills nothing beyond the limit itself."""
    network, egresses, traffic = drawn
    shortest = place(BackboneGraph(network), egresses, traffic)
    placement = place(BackboneGraph(network), egresses, replace(traffic, fill=fill))
    for egress in egresses:
        arrivals(placement, egress)
    if shortest.utilisation.max(initial=0.0) <= fill:
        assert np.array_equal(placement.load_bps, shortest.load_bps)


def two_ways() -> Network:
    """r0 to r3 in two hops of 1 ms each over r1, or of 2 ms each over r2; all links 100 bit/s."""
    return drawn_network(4, [(0, 1, 1000, 100), (1, 3, 1000, 100), (0, 2, 2000, 100), (2, 3, 2000, 100)])


def way(placement: Placement, egress: int) -> list[str]:
    """The middle of the way from r0 to r3."""
    return sorted(link for link in placement.trees[egress][0].hops("r0").values())


def test_least_delay_turns_aside_for_room() -> None:
    egresses = (Egress(0, ("r3",)), Egress(1, ("r3", "r1")))
    traffic = Traffic({("r0", 0): 70, ("r0", 1): 60}, fill=0.8)
    placement = place(BackboneGraph(two_ways()), egresses, traffic)
    assert way(placement, 0) == ["l0", "l1"] and way(placement, 1) == ["l2", "l3"]
    crowded = place(BackboneGraph(two_ways()), egresses, replace(traffic, fill=0.0))
    assert way(crowded, 1) == ["l0", "l1"]


@pytest.mark.parametrize("path", LOAD_CHOICES)
def test_load_goes_round_what_the_least_delay_fills(path: PathAlgorithm) -> None:
    egresses = (Egress(0, ("r3",)), Egress(1, ("r3",), path))
    placement = place(BackboneGraph(two_ways()), egresses, Traffic({("r0", 0): 50, ("r0", 1): 40}))
    assert way(placement, 0) == ["l0", "l1"] and way(placement, 1) == ["l2", "l3"]


def test_linear_program_finds_the_least_utilisation() -> None:
    """Six demands of 30 over the two ways: half on each is 90 of 100, whoever takes which."""
    egresses = tuple(Egress(index, ("r3",), PathAlgorithm(PathChoice.MIN_MAX)) for index in range(6))
    shortest = tuple(replace(egress, path=SHORTEST) for egress in egresses)
    traffic = Traffic({("r0", index): 30 for index in range(6)})
    assert place(BackboneGraph(two_ways()), shortest, traffic).utilisation.max() == 1.8
    assert least_utilisation(place(BackboneGraph(two_ways()), shortest, traffic), shortest).bound == pytest.approx(0.9)
    assert place(BackboneGraph(two_ways()), egresses, traffic).utilisation.max() == pytest.approx(0.9)


def test_country_is_less_full_by_load_than_by_delay() -> None:
    policy, network = load_policy(library_path("national")), national_network(400)
    plan = compile_policy(policy, network)
    assert {cls.name for cls in plan.classes if cls.path.choice is PathChoice.LEAST_LOADED} == {"bulk"}
    by_load = place(BackboneGraph(network), plan.egresses, plan.traffic)
    shortest = tuple(replace(egress, path=SHORTEST) for egress in plan.egresses)
    by_delay = place(BackboneGraph(network), shortest, plan.traffic)
    assert by_load.utilisation.max() < by_delay.utilisation.max()


def test_demand_is_what_sites_send() -> None:
    """Hospitals call hospitals; what the two of r1 send of their 40 % or 20 % is drawn by rate, r1's own stays."""
    text = (policy_golden.GOLDEN / "small.yaml").read_text(encoding="utf-8") + "\npaths: {busy: 10 %}\n"
    policy = read_policy(loads(text.encode(), "small.yaml"))
    plan = compile_policy(policy, small_network())
    assert plan.traffic.demand_bps and plan.traffic.fill == 0
    for (router, index), rate in plan.traffic.demand_bps.items():
        assert plan.egresses[index].routers[0] != router and rate >= 0
    offered = sum(site.accesses[0].rate_bps for site in plan.network.sites) // 10
    assert 0 < sum(plan.traffic.demand_bps.values()) < offered


@given(st.sampled_from([2_000_000, 10_000_000, 34_000_000, 1_000_000_000]))
def test_classes_share_the_whole_line(rate_bps: int) -> None:
    spec = load_policy(library_path("national")).spec
    shares = class_shares(spec, rate_bps)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["control"] == 0 and shares["voice"] == spec.classes["voice"].share_at(rate_bps)


def test_too_many_trees_are_refused() -> None:
    """The numbers of groups below the core's labels would run out."""
    network = small_network()
    many = tuple(Router(f"x{index}", "pop-1", index) for index in range(4, 5004))
    site = network.sites[5]
    sites = tuple(
        replace(site, id=router.id, accesses=(replace(site.accesses[0], router=router.id),)) for router in many
    )
    policy = policy_golden.small_policy()
    classes = (*CLASSES, replace(CLASSES[2], path=PathAlgorithm(PathChoice.MIN_MAX)))
    report = PolicyReport(policy.document)
    network = replace(network, routers=many, sites=sites)
    everybody = Vpn("all", 1, 1001, 3001, frozenset(), frozenset(), tuple(network.site))
    compile_egresses(network, (everybody,), classes[:-1], report)
    report.raise_if_any()
    compile_egresses(network, (everybody,), classes, report)
    with pytest.raises(InputError, match=r"small.yaml:\d+: classes: need 10000 trees of paths, 2 to each of 5000 sets"):
        report.raise_if_any()
