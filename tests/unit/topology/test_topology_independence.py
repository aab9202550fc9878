"""Independent ways: nothing in common, as many as there are, the shortest of them; and who has few."""

from __future__ import annotations

import subprocess
from itertools import combinations

import networkx as nx
import pytest
from command_line import REPOSITORY, helsewan
from hypothesis import given, settings
from hypothesis import strategies as st

from helsewan.topology.graph.independence import BackbonePath, independent_paths, path_redundancy
from helsewan.topology.model import Kind, Link, Network, Pop, Region, Router
from helsewan.topology.national.generator import national_network


def network_of(towns: list[int], ends: list[tuple[int, int, int, tuple[str, ...]]]) -> Network:
    """Routers r0, r1, ... in the towns with these numbers, and links (from, to, delay, groups)."""
    routers = tuple(Router(f"r{i}", f"t{town}", i + 1) for i, town in enumerate(towns))
    pops = tuple(
        Pop(f"t{town}", f"t{town}", Region.MIDT, 0.0, 0.0, tuple(r.id for r in routers if r.pop == f"t{town}"))
        for town in sorted(set(towns))
    )
    links = tuple(Link(f"l{i}", f"r{a}", f"r{b}", 1, delay, 1.0, srlg) for i, (a, b, delay, srlg) in enumerate(ends))
    return Network("drawn", 1, pops, routers, links, (), {}, {}, {}, {})


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Five to seven routers, two of which may share a town, with any links and groups."""
    count = draw(st.integers(5, 7))
    towns = [*range(count - 1), draw(st.sampled_from([count - 1, count - 2]))]
    node = st.integers(0, count - 1)
    pairs = st.tuples(node, node).filter(lambda pair: pair[0] != pair[1])
    srlg = st.sampled_from([(), (), ("x",), ("y",), ("x", "y")])
    drawn = draw(st.lists(st.tuples(pairs, st.integers(1, 9), srlg), max_size=11))
    return network_of(towns, [(a, b, delay, groups) for (a, b), delay, groups in drawn])


def uses(network: Network, links: tuple[str, ...]) -> set[str]:
    """Links, groups and towns between r0's and r1's on a way."""
    towns = {network.router[end].pop for link in links for end in (network.link[link].a, network.link[link].b)}
    return {*links, *(f"group {g}" for link in links for g in network.link[link].srlg), *(towns - {"t0", "t1"})}


def best(network: Network, most: int) -> tuple[int, int]:
    """(number, delay and hops) of the most and shortest independent ways from r0 to r1, by trying all."""
    graph = network.graph
    found = []
    for edges in nx.all_simple_edge_paths(graph, "r0", "r1"):
        links = tuple(key for _, _, key in edges)
        found.append((uses(network, links), sum(network.link[link].delay_us + 1 for link in links)))
    for count in range(most, 0, -1):
        costs = [
            sum(cost for _, cost in chosen)
            for chosen in combinations(found, count)
            if all(not a & b for (a, _), (b, _) in combinations(chosen, 2))
        ]
        if costs:
            return count, min(costs)
    return 0, 0


@settings(max_examples=60, deadline=None)
@given(networks())
def test_as_many_as_there_are_and_the_shortest(network: Network) -> None:
    ways = independent_paths(network, ["r0"], ["r1"])
    for way in ways:
        assert (way.routers[0], way.routers[-1]) == ("r0", "r1")
        for (a, b), link in zip(zip(way.routers, way.routers[1:], strict=False), way.links, strict=True):
            assert {a, b} == {network.link[link].a, network.link[link].b}
        assert way.delay_us == sum(network.link[link].delay_us for link in way.links)
    assert all(not uses(network, a.links) & uses(network, b.links) for a, b in combinations(ways, 2))
    assert (len(ways), sum(way.delay_us + len(way.links) for way in ways)) == best(network, 3)


def test_the_shortest_way_is_left_where_it_bars_a_second_one() -> None:
    """Suurballe's trap: the shortest way 0-2-3-1 crosses both others, which are independent."""
    ends = [(0, 2, 1, ()), (2, 3, 1, ()), (3, 1, 1, ()), (2, 1, 5, ()), (0, 3, 5, ())]
    ways = independent_paths(network_of([0, 1, 2, 3], ends), ["r0"], ["r1"])
    first, second = BackbonePath(("r0", "r2", "r1"), ("l0", "l3"), 6), BackbonePath(("r0", "r3", "r1"), ("l4", "l2"), 6)
    assert ways == (first, second)


def test_a_trench_in_common_is_no_second_way() -> None:
    ends = [(0, 2, 1, ("trench",)), (2, 1, 1, ()), (0, 3, 1, ("trench",)), (3, 1, 1, ()), (0, 1, 9, ())]
    ways = independent_paths(network_of([0, 1, 2, 3], ends), ["r0"], ["r1"])
    assert [way.delay_us for way in ways] == [2, 9]


def test_places_in_one_town_have_no_ways_between() -> None:
    assert independent_paths(network_of([0, 0], [(0, 1, 1, ())]), ["r0"], ["r1"]) == ()


def test_trondheim_parts_the_country_until_there_is_a_fibre_through_sweden() -> None:
    for swedish, number in ((False, 1), (True, 2)):
        network = national_network(None, 1, swedish)
        ways = independent_paths(network, network.pop["bodo"].routers, network.pop["oslo"].routers)
        assert len(ways) == number
        assert any("trondheim" in router for router in ways[0].routers + ways[-1].routers)


def test_every_site_apart_from_a_service_stands_somewhere() -> None:
    network = national_network(None, 1)
    broker = next(site for site in network.sites if site.kind is Kind.SERVICE)
    towns = {network.router[router].pop for router in broker.homing}
    found = path_redundancy(network, [broker])
    apart = [site for site in network.sites if not towns & {network.router[router].pop for router in site.homing}]
    assert sum(each.sites for each in found) == len(apart)
    assert [each.paths for each in found] == sorted(each.paths for each in found)


def topology_paths(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run ``helsewan topology paths`` on a wide terminal."""
    return helsewan("topology", "paths", *argv, cwd=REPOSITORY, COLUMNS="200")


def test_command_shows_ways_with_their_groups() -> None:
    done = topology_paths("oslo", "bergen")
    assert done.returncode == 0
    first, groups, *_ = done.stdout.splitlines()
    assert first.startswith("1  ") and " ms  oslo-" in first and first.endswith(("bergen-1", "bergen-2"))
    assert groups.startswith("   over ")
    assert "\n2  " in done.stdout


def test_command_reports_sites_with_few_ways() -> None:
    done = topology_paths("--from", str(REPOSITORY / "tests/samples/topologies/Ringnett.graphml"))
    assert done.returncode == 0, done.stderr
    assert "fewest independent paths" in done.stdout and "have 2" in done.stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("oslo",), "END: is missing (hint: name two places, or none for all sites)"),
        (("osl", "bergen"), "START: 'osl' is no site, town or router of this network (hint: did you mean 'oslo'?)"),
        (("oslo-1", "oslo"), "END: 'oslo' shares Oslo with oslo-1 (hint: name places in different towns)"),
    ],
)
def test_command_refuses_what_has_no_answer(argv: tuple[str, ...], said: str) -> None:
    done = topology_paths(*argv)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said + "\n")
