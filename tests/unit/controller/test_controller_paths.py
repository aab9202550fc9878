"""Paths and their repairs: there are no loops, and connected routers are reached."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from unittest.mock import patch

import networkx as nx
import pytest
from controller_plan import small_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from path_repair import unrepaired

from helsewan.common.errors import InputError
from helsewan.controller.rules.label_rules import assign_labels
from helsewan.controller.rules.paths import Avoid, Failures, compute_paths
from helsewan.policies.plan import SHORTEST, Egress, PathAlgorithm, PathChoice, Traffic
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.model import Link, Network, Pop, Region, Router
from helsewan.topology.national.generator import national_network
from helsewan.verification.failures import single_failures


@cache
def national() -> tuple[Network, tuple[Egress, ...]]:
    """The national network, and some egress sets of each kind."""
    network = national_network(sites=None, seed=1)
    homings = tuple(dict.fromkeys(site.homing for site in network.sites if len(site.homing) > 1))
    singles = tuple((router.id,) for router in network.routers)
    return network, tuple(Egress(index, homing) for index, homing in enumerate((*homings[::4], *singles[::4])))


def test_every_single_failure_of_the_small_network_is_repaired() -> None:
    """Except for the shared trench: Trondheim cannot avoid both it and Oslo's second router, which takes precedence."""
    plan = small_plan()
    paths = compute_paths(plan.network, plan.egresses)
    for name, failed in single_failures(plan.network):
        missed = unrepaired(plan.network, plan.egresses, paths, failed)
        assert not missed or name == "srlg oslo-west", name


@pytest.mark.parametrize("kind", ["link", "router", "pop", "srlg"])
def test_every_single_failure_of_the_national_network_is_repaired(kind: str) -> None:
    network, egresses = national()
    paths = compute_paths(network, egresses)
    for name, failed in single_failures(network):
        if name.startswith(kind):
            assert not unrepaired(network, egresses, paths, failed), name


@pytest.mark.parametrize("path", [PathAlgorithm(PathChoice.LEAST_LOADED), PathAlgorithm(PathChoice.MIN_MAX)])
def test_every_single_failure_is_repaired_on_load_dependent_paths(path: PathAlgorithm) -> None:
    """The same for trees that deviate from least delay: any single link, router and PoP."""
    network, egresses = national()
    chosen = tuple(replace(egress, path=path) for egress in egresses[::3])
    chosen = tuple(replace(egress, index=index) for index, egress in enumerate(chosen))
    traffic = Traffic({(router.id, egress.index): 10**8 for router in network.routers for egress in chosen})
    paths = compute_paths(network, chosen, traffic=traffic)
    shortest = compute_paths(network, tuple(replace(egress, path=SHORTEST) for egress in chosen))
    assert paths.target == shortest.target and paths.primary != shortest.primary
    for name, failed in single_failures(network):
        assert not unrepaired(network, chosen, paths, failed), name


def test_once_the_failure_is_known_all_connected_routers_are_reached() -> None:
    plan = small_plan()
    for name, failed in single_failures(plan.network):
        paths = compute_paths(plan.network, plan.egresses, failed)
        assert not unrepaired(plan.network, plan.egresses, paths, failed), name


def test_paths_are_least_delay() -> None:
    network, egresses = national()
    paths = compute_paths(network, egresses)
    for (source, index), target in paths.target.items():
        router, delay_us, hops = source, 0, 0
        while router != target:
            link = network.link[paths.primary[router, index]]
            router, delay_us, hops = link.other(router), delay_us + link.delay_us, hops + 1
        least = nx.shortest_path_length(network.graph, source, target, weight="delay_us")
        assert least <= delay_us <= least + hops  # a hop counts as 1 us, so that fewer hops win a tie


def test_same_input_same_paths() -> None:
    network, egresses = national()
    shuffled = replace(network, links=network.links)
    assert compute_paths(network, egresses) == compute_paths(shuffled, egresses)


def test_parallel_links_are_used_one_after_the_other() -> None:
    links = (
        Link("slow", "a", "b", 1, 200, 1.0),
        Link("fast", "a", "b", 1, 100, 1.0),
    )
    network = _network(2, links)
    paths = compute_paths(network, (Egress(0, ("b",)),))
    assert paths.primary["a", 0] == "fast"
    repair = paths.repair["a", 0]
    assert repair.link == "slow" and paths.detours[repair.detour or 0].end == "b"


def test_member_of_the_set_delivers_itself_when_the_preferred_router_fails() -> None:
    network = _network(2, (Link("only", "a", "b", 1, 100, 1.0),))
    paths = compute_paths(network, (Egress(0, ("a", "b")),))
    assert paths.target["b", 0] == "a" and paths.repair["b", 0].link is None
    after = compute_paths(network, (Egress(0, ("a", "b")),), Failures(links=frozenset({"only"})))
    assert after.target == {("a", 0): "a", ("b", 0): "b"}


def _network(count: int, links: tuple[Link, ...]) -> Network:
    """Routers a, b, ... each in a PoP of its own."""
    names = [chr(ord("a") + number) for number in range(count)]
    return Network(
        "drawn",
        1,
        tuple(Pop(name, name, Region.MIDT, 0.0, 0.0, (name,)) for name in names),
        tuple(Router(name, name, index) for index, name in enumerate(names, start=1)),
        links,
        (),
        {},
        {},
        {},
        {},
    )


@st.composite
def networks(draw: st.DrawFn) -> tuple[Network, tuple[Egress, ...]]:
    """Up to seven routers with any links, delays, shared risks and egress sets."""
    count = draw(st.integers(2, 7))
    names = [chr(ord("a") + number) for number in range(count)]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names)).filter(lambda pair: pair[0] != pair[1])
    drawn = draw(st.lists(st.tuples(pairs, st.integers(0, 5), st.sampled_from([(), ("x",), ("y",)])), max_size=14))
    links = tuple(Link(f"l{i}", a, b, 1, delay, 1.0, srlg) for i, ((a, b), delay, srlg) in enumerate(drawn))
    sets = draw(st.lists(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True), min_size=1, max_size=4))
    return _network(count, links), tuple(Egress(index, tuple(members)) for index, members in enumerate(sets))


@settings(max_examples=60)
@given(networks(), st.data())
def test_any_network_under_any_failures(drawn: tuple[Network, tuple[Egress, ...]], data: st.DataObject) -> None:
    """Any failures, known or unknown: no loop, and delivery only at a member. Any single link or router: repaired."""
    network, egresses = drawn
    link_ids = [link.id for link in network.links]
    lost = st.lists(st.sampled_from(link_ids), max_size=3) if link_ids else st.just([])
    known, unknown = Failures(links=frozenset(data.draw(lost))), Failures(links=frozenset(data.draw(lost)))
    both = Failures(links=known.links | unknown.links)
    paths = compute_paths(network, egresses, known)
    unrepaired(network, egresses, paths, both)
    assert not unrepaired(network, egresses, paths, known)
    for name, failed in single_failures(network):
        if name.startswith(("link", "router")) and not known.links:
            assert not unrepaired(network, egresses, paths, failed), name


def reduced(network: Network, avoid: Avoid, failed: Failures) -> nx.MultiGraph:
    """The network without failures and avoided elements; the cost of an edge is its delay and 1 us for the hop."""
    graph = network.graph.copy()
    graph.remove_nodes_from(avoid.routers | failed.routers)
    lost = avoid.links | failed.links
    graph.remove_edges_from([(u, v, key) for u, v, key in graph.edges(keys=True) if key in lost])
    for _, _, data in graph.edges(data=True):
        data["cost"] = data["delay_us"] + 1
    return graph


def expected_avoids(network: Network, router: str, link: Link) -> list[Avoid]:
    """The sets of elements that a repair should avoid, largest first (decision 4)."""
    neighbour = link.other(router)
    shared = {other.id for other in network.links if other is link or set(other.srlg) & set(link.srlg)}
    avoids = []
    for routers in (set(network.pop_of(neighbour).routers) - {router}, {neighbour}, set()):
        for links in (shared, {link.id}):
            kept = {i for i in links if not routers & {network.link[i].a, network.link[i].b}}
            avoids.append(Avoid(frozenset(routers), frozenset(kept)))
    return avoids


@settings(max_examples=60)
@given(networks(), st.data())
def test_detours_avoid_most_and_are_shortest(drawn: tuple[Network, tuple[Egress, ...]], data: st.DataObject) -> None:
    """Computed independently with networkx: what each repair avoids, where it ends, and the cost of the path from each
    router."""
    network, egresses = drawn
    link_ids = [link.id for link in network.links]
    failed = Failures(links=frozenset(data.draw(st.lists(st.sampled_from(link_ids), max_size=2)) if link_ids else []))
    paths = compute_paths(network, egresses, failed)
    for (router, index), link_id in paths.primary.items():
        ends = egresses[index].routers
        options = (
            (avoid, end)
            for avoid in expected_avoids(network, router, network.link[link_id])
            for graph in [reduced(network, avoid, failed)]
            for end in ends
            if end in graph and nx.has_path(graph, router, end)
        )
        best, repair = next(options, None), paths.repair.get((router, index))
        if best is None or repair is None:
            assert best is None and repair is None
        elif best[1] == router:
            assert repair.link is None
        else:
            detour = paths.detours[repair.detour or 0]
            assert (detour.avoid, detour.end) == best
            assert repair.link == paths.detour_hops[repair.detour or 0][router]
    for detour, hops in zip(paths.detours, paths.detour_hops, strict=True):
        cost = nx.shortest_path_length(reduced(network, detour.avoid, failed), detour.end, weight="cost")
        for router, link_id in hops.items():
            link = network.link[link_id]
            assert cost[router] == link.delay_us + 1 + cost[link.other(router)]


def test_a_larger_network_takes_little_more_than_its_output() -> None:
    """Paths are computed once per hop and set to avoid, not once per pair: a ring of 60 routers with chords."""
    names = [f"r{number}" for number in range(60)]
    ends = [(a, (a + 1) % 60) for a in range(60)] + [(a, a + 7) for a in range(0, 50, 5)]
    links = tuple(Link(f"l{i}", names[a], names[b], 1, 100 + i, 1.0) for i, (a, b) in enumerate(ends))
    pops = tuple(Pop(name, name, Region.MIDT, 0.0, 0.0, (name,)) for name in names)
    routers = tuple(Router(name, name, index) for index, name in enumerate(names, start=1))
    network = Network("ring", 1, pops, routers, links, (), {}, {}, {}, {})
    with patch.object(BackboneGraph, "path_tree", autospec=True, side_effect=BackboneGraph.path_tree) as looked_up:
        compute_paths(network, tuple(Egress(index, (name,)) for index, name in enumerate(names)))
    assert looked_up.call_count <= len(names) + 2 * 2 * len(links)


def test_more_trees_than_labels_are_an_input_error() -> None:
    plan = small_plan()
    paths = compute_paths(plan.network, plan.egresses)
    with (
        patch("helsewan.controller.rules.label_rules._LABEL_LIMIT", 10_004),
        pytest.raises(InputError, match="trees of paths' need a label"),
    ):
        assign_labels(paths)
