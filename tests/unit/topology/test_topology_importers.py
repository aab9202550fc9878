"""Files in the Topology Zoo's dialect, and our own, become networks that run; what they lack is assumed and said."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from small_network import DESCRIPTION

from helsewan.common.errors import InputError
from helsewan.controller.rules.paths import compute_paths
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.construction.access import ROUTING_FACTOR
from helsewan.topology.construction.geo import great_circle_km
from helsewan.topology.importers import gml, graphml, import_network, network_from, zoo
from helsewan.topology.importers.link_rates import DEFAULT_RATE_BPS
from helsewan.topology.model import Kind, Network, Region

SAMPLES = Path(__file__).parents[2] / "samples" / "topologies"
FILES = sorted(path.name for path in SAMPLES.iterdir())
NATIONAL = load_policy(library_path("national"))


def sample(name: str, sites: int | None = None, seed: int = 1) -> Network:
    return network_from(SAMPLES / name, sites, seed)


@pytest.mark.parametrize("name", FILES)
def test_every_sample_compiles_under_the_national_policy_with_a_way_between_all(name: str) -> None:
    """The Zoo's oddities and ours: whatever the file, each router reaches each egress set."""
    network = sample(name, 60)
    assert len(network.sites) == 60
    plan = compile_policy(NATIONAL, network)
    paths = compute_paths(network, plan.egresses)
    assert set(paths.target) == {(router.id, egress.index) for router in network.routers for egress in plan.egresses}


@pytest.mark.parametrize("name", FILES)
def test_the_same_file_gives_the_same_network_and_a_larger_one_contains_it(name: str) -> None:
    small, large = sample(name, 40), sample(name, 90)
    assert sample(name, 40) == small
    assert (large.pops, large.routers, large.links) == (small.pops, small.routers, small.links)
    lines = {site.id: (site.kind, site.homing, site.lat, site.lon) for site in large.sites}
    assert lines.items() >= {site.id: (site.kind, site.homing, site.lat, site.lon) for site in small.sites}.items()
    assert {site.id for site in sample(name, 90, seed=2).sites} != set(large.site)


@pytest.mark.parametrize("name", FILES)
def test_regions_are_connected_and_of_about_equal_size(name: str) -> None:
    network = sample(name)
    graph = nx.Graph((network.router[link.a].pop, network.router[link.b].pop) for link in network.links)
    graph.add_nodes_from(network.pop)
    sizes = []
    for region in {pop.region for pop in network.pops}:
        part = [pop.id for pop in network.pops if pop.region is region]
        assert nx.is_connected(graph.subgraph(part))
        sizes.append(len(part))
    assert len(sizes) == min(len(Region), len(network.pops))
    assert max(sizes) <= 3 * len(network.pops) / len(sizes)


def test_a_map_with_every_oddity() -> None:
    """Kystnett has what published files have: see the comments."""
    imported = import_network(SAMPLES / "Kystnett.graphml")
    network = imported.network
    assert network.pop["alesund"].town == "Ålesund"  # letters beyond ASCII
    assert {"mo-i-rana", "mo-i-rana-2"} <= set(network.pop)  # labels that repeat
    assert not {"europe", "internet", "rost"} & set(network.pop)  # external nodes, an isolated one
    assert {"alesund-kristiansund", "alesund-kristiansund-2"} <= set(network.link)  # parallel edges
    assert "tromso-tromso" not in network.link  # an edge from a node to itself
    assert "pop-hospital-quay" in network.pop  # a label that reads like a site's name
    rates = {name: link.rate_bps for name, link in network.link.items()}
    assert rates["alesund-kristiansund"] == 10_000_000_000  # LinkSpeedRaw
    assert rates["kristiansund-trondheim"] == 192 * 51_840_000  # OC-192
    assert rates["trondheim-mo-i-rana"] == 2_500_000_000  # < 2.5G
    assert rates["bodo-node-5"] == DEFAULT_RATE_BPS  # "Blue"
    assert rates["trondheim-bodo"] == 2 * 4 * 155_520_000  # LinkSpeedRaw 0.0, LinkLabel 2 x STM-4
    without_sites = [site for site in network.sites if "node-5" in site.homing[:1]]
    assert not without_sites  # a junction (hyperedge=1) has no sites
    assert list(imported.remarks) == [
        "left out: 2 external nodes (Internal=0) and the edges there",
        "left out: 1 node in 1 part without a path to the largest part",
        "left out: 1 edge from a node to itself",
        "left out: attributes that have no meaning here: Country, type of nodes",
        "assumed: the delay of 12 of 14 links: great circle x 1.4 x 4.9 us/km",
        "assumed: 1 ms for 2 of 14 links: the coordinates of an end are unknown",
        "assumed: 2.5 Gbit/s for 1 of 14 links: '< 2.5G': it is a bound",
        "assumed: 10 Gbit/s for 1 of 14 links: '10-20Gbps': of a range or a choice the lowest is used",
        "assumed: 1 Gbit/s for 4 of 14 links: the speed is missing or cannot be read ('Blue')",
        "assumed: the coordinates of 1 PoP: between the neighbours",
        "assumed: 1 junction (hyperedge=1): routers without sites",
        "assumed: regions: connected parts of about equal size",
    ]


def test_a_node_without_a_place_stands_between_its_neighbours_or_beside_one() -> None:
    network = sample("Kystnett.graphml")
    junction, around = network.pop["node-5"], [network.pop[name] for name in ("bodo", "tromso", "mo-i-rana")]
    assert min(pop.lat for pop in around) < junction.lat < max(pop.lat for pop in around)
    vardo, tromso = network.pop["vardo"], network.pop["tromso"]
    assert (vardo.lat, vardo.lon) == (tromso.lat, tromso.lon)
    assert network.link["tromso-vardo"].delay_us == zoo.DEFAULT_DELAY_US


def test_delays_are_those_of_the_great_circle() -> None:
    for link in sample("Ringnett.graphml").links:
        a, b = (sample("Ringnett.graphml").pop[end] for end in (link.a, link.b))
        km = great_circle_km(a.lat, a.lon, b.lat, b.lon) * ROUTING_FACTOR
        assert link.delay_us == round(km * 4.9)


def test_a_file_without_places_has_default_delays_and_places_to_draw() -> None:
    imported = import_network(SAMPLES / "Placeless.gml")
    assert {link.delay_us for link in imported.network.links} == {zoo.DEFAULT_DELAY_US}
    assert len({(pop.lat, pop.lon) for pop in imported.network.pops}) == len(imported.network.pops)
    assert "assumed: 1 ms for 8 of 8 links: the coordinates of an end are unknown" in imported.remarks


def test_gml_as_published_is_read() -> None:
    """Entities, labels that repeat, and parallel edges without the flag that networkx wants."""
    network = sample("Oynett.gml")
    assert network.pop["reykjavik"].town == "Reykjavík" and network.pop["torshavn"].town == "Tórshavn"
    assert {"reykjavik-torshavn", "reykjavik-torshavn-2", "lerwick-lerwick-2"} <= set(network.link)
    assert set(network.pop) == {"reykjavik", "torshavn", "lerwick", "lerwick-2", "kirkwall", "aberdeen"}
    assert sample("Latin.gml").pop["tromso"].town == "Tromsø"  # ISO 8859-1


def test_a_directed_file_joins_the_two_ways_of_a_link() -> None:
    imported = import_network(SAMPLES / "Bothways.graphml")
    rates = [(link.a, link.b, link.rate_bps) for link in imported.network.links]
    assert rates == [("n0", "n1", 622_000_000), ("n1", "n2", 10_000_000_000), ("n1", "n2", 622_000_000)]
    assert imported.remarks[0] == "left out: 2 edges back along another: links go both ways"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".graphml")])
def test_networkx_reads_the_same_graphml(name: str) -> None:
    path = SAMPLES / name
    theirs, ours = nx.read_graphml(path, force_multigraph=True), graphml.read(path.read_bytes(), name)
    labels = {node: label or "" for node, label in theirs.nodes(data="label")}
    assert {node.id: node.attributes.get("label", "") for node in ours.nodes} == labels
    ends = sorted(sorted((edge.source, edge.target)) for edge in ours.edges)
    assert ends == sorted(sorted((a, b)) for a, b, _ in theirs.edges)


def test_networkx_reads_the_same_gml() -> None:
    text = (SAMPLES / "Placeless.gml").read_text()
    theirs, ours = nx.parse_gml(text, label="id"), gml.read(text.encode(), "Placeless.gml")
    assert {int(node.id): node.attributes["label"] for node in ours.nodes} == dict(theirs.nodes(data="label"))
    assert [(int(edge.source), int(edge.target)) for edge in ours.edges] == [
        (0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5), (5, 6), (6, 0)
    ]  # fmt: skip
    assert {frozenset(edge) for edge in theirs.edges} == {
        frozenset((int(edge.source), int(edge.target))) for edge in ours.edges
    }


def test_sites_come_in_the_national_kinds_and_stand_where_lines_meet() -> None:
    network = sample("Ringnett.graphml", 200)
    kinds = {kind: [site for site in network.sites if site.kind is kind] for kind in Kind}
    assert all(kinds.values())
    assert len(kinds[Kind.HOSPITAL]) == len(network.pops)
    assert len(kinds[Kind.DATACENTRE]) == len(Region)
    assert {site.region for site in kinds[Kind.HOSPITAL] if site.tier == "university"} == set(Region)
    for site in kinds[Kind.SERVICE] + kinds[Kind.DATACENTRE]:
        primary, backup = (network.pop_of(router) for router in site.homing)
        assert primary.id != backup.id
        assert any({link.a, link.b} == set(site.homing) for link in network.links)  # the backup is next door
    for kind in (Kind.GP, Kind.PHARMACY, Kind.MUNICIPALITY):
        assert {network.pop_of(site.homing[0]).id for site in kinds[kind]} <= set(network.pop)
    star = sample("Oynett.gml", 300)
    degree = nx.degree(nx.Graph((link.a, link.b) for link in star.links))
    sites = {pop.id: sum(site.homing[0] == pop.id for site in star.sites) for pop in star.pops}
    assert sites["torshavn"] == max(sites.values()) and degree["torshavn"] == max(dict(degree).values())


def test_the_documentation_shows_the_sample() -> None:
    shown = (SAMPLES.parents[2] / "docs" / "topologies.md").read_text(encoding="utf-8")
    assert (SAMPLES / "three-towns.yaml").read_text(encoding="utf-8").strip() in shown


def test_no_site_that_is_added_takes_a_name_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((SAMPLES / "three-towns.yaml").read_text().replace("hamar", "gp-bergen-1-1"))
    assert "gp-bergen-1-1" in sample("three-towns.yaml", 200).site
    network = network_from(path, 200)
    assert not set(network.router) & set(network.site) and len(network.site) == 200


def test_a_network_from_a_text_is_that_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(DESCRIPTION)
    assert network_from(DESCRIPTION) == network_from(file) == network_from(str(file))


@pytest.mark.parametrize(
    ("source", "refusal"),
    [
        ("absent.yaml", "absent.yaml: no such file"),
        ("name: [", "network:2:1: is not YAML"),
        ("name: x\nlines: {}\n", "network:1: pops: is missing"),
    ],
)
def test_a_wrong_text_is_told_from_an_absent_file(source: str, refusal: str) -> None:
    with pytest.raises(InputError) as error:
        network_from(source)
    assert str(error.value).startswith(refusal)
