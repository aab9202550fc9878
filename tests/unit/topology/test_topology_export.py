"""Exports: complete, readable by others, and JSON reads back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
import yaml

from helsewan.common.errors import InputError
from helsewan.topology.exporters import containerlab, dot, formats
from helsewan.topology.importers import description, import_network, network_from
from helsewan.topology.model import AccessLink, Link
from helsewan.topology.national.generator import national_network


@pytest.fixture(scope="module")
def network():
    return national_network(120, seed=7, swedish_route=True)


def test_a_lines_mtu_is_told_and_reads_back(network, tmp_path):
    first, *others = network.sites
    short = replace(first, accesses=(replace(first.accesses[0], mtu_bytes=1400), *first.accesses[1:]))
    network = replace(network, sites=(short, *others))
    assert formats.from_json(formats.to_json(network)).site[first.id] == short
    for name, text in (("n.yaml", description.write(network)), ("n.graphml", formats.to_graphml(network))):
        (tmp_path / name).write_text(text)
        assert network_from(tmp_path / name).site[first.id].accesses == short.accesses


def test_json_reads_back_equal_and_is_stable(network):
    text = formats.to_json(network)
    again = formats.from_json(text)
    assert again == network
    assert formats.to_json(again) == text


def test_graphml_has_every_router_site_link_and_line(network):
    graph = nx.parse_graphml(formats.to_graphml(network), force_multigraph=True)
    assert set(graph) == set(network.router) | set(network.site)
    edges = {key: attributes for *_, key, attributes in graph.edges(keys=True, data=True)}
    assert set(edges) == set(network.link) | {f"{site.id}/{end}" for site in network.sites for end in site.homing}
    assert edges["narvik-oslo"]["delay_us"] == network.link["narvik-oslo"].delay_us
    assert graph.nodes["tromso-2"]["pop"] == "tromso" and graph.nodes["hospital-voss"]["label"] == "Voss sjukehus"


def test_geojson_has_points_and_lines_in_longitude_latitude_order(network):
    features = json.loads(formats.to_geojson(network))["features"]
    layers = {}
    for feature in features:
        layers.setdefault(feature["properties"]["layer"], {})[feature["id"]] = feature
    assert set(layers["pop"]) == set(network.pop) and set(layers["site"]) == set(network.site)
    assert set(layers["link"]) == {id_ for id_ in network.link if "--" not in id_}
    assert len(layers["access"]) == sum(len(site.accesses) for site in network.sites)
    assert layers["pop"]["bodo"]["geometry"] == {"type": "Point", "coordinates": [14.3751, 67.2827]}
    for feature in features:
        points = feature["geometry"]["coordinates"]
        for lon, lat in [points] if feature["geometry"]["type"] == "Point" else points:
            assert 4 < lon < 32 and 57 < lat < 79


def damaged(network, change):
    data = json.loads(formats.to_json(network))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["sites"][3].update(lat="north"), "net.json: sites[3].lat: 'north' should be a number"),
        (lambda data: data.pop("seed"), "net.json: seed: is missing (hint: add seed)"),
        (lambda data: data.update(format="other/1"), "net.json: format: 'other/1' is no format of a network"),
        (lambda data: data["links"][0].update(a="x"), "net.json: link oslo-hamar: 'x' is not a router of this network"),
        (lambda data: data["routers"][0].update(pop="x"), "net.json: router oslo-1: 'x' is not a PoP of this network"),
        (
            lambda data: data["sites"][0]["accesses"][0].update(router="x"),
            "net.json: site hospital-ulleval: 'x' is not a router of this network",
        ),
    ],
)
def test_damaged_json_is_refused(network, change, message):
    with pytest.raises(InputError) as caught:
        formats.from_json(damaged(network, change), "net.json")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["sites"][1].update(prefix4=data["sites"][0]["prefix4"]), "overlaps 10."),
        (lambda data: data["sites"][1].update(prefix4="0.0.0.0/0"), "contains or is within the management network"),
        (lambda data: data["sites"][1].update(prefix4="172.31.250.0/24"), "contains or is within the management"),
        (lambda data: data["sites"][1].update(prefix4="100.64.0.0/24"), "contains or is within the routers' own"),
        (lambda data: data["sites"][1].update(prefix4="239.1.0.0/24"), "contains or is within multicast"),
        (lambda data: data["sites"][1].update(prefix6="fe80:1::/64"), "contains or is within link-local"),
    ],
)
def test_addresses_that_no_site_can_have_are_refused_at_their_line(network, change, message):
    data = json.loads(formats.to_json(network))
    change(data)
    text = json.dumps(data, indent=1)
    with pytest.raises(InputError) as caught:
        formats.from_json(text, "net.json")
    first = str(caught.value).splitlines()[0]
    line, prefix = int(first.split(":")[1]), first.split("'")[1]
    assert message in first
    assert prefix in text.splitlines()[line - 1]


@pytest.mark.parametrize(("name", "kind"), [("oslo-1", "router"), ("oslo", "PoP")])
def test_a_site_with_a_routers_or_pops_name_is_refused_at_its_line(network, name, kind):
    data = json.loads(formats.to_json(network))
    data["sites"][3]["id"] = name
    text = json.dumps(data, indent=1)
    with pytest.raises(InputError) as caught:
        formats.from_json(text, "net.json")
    first = str(caught.value).splitlines()[0]
    assert first.endswith(f"'{name}' is a {kind}'s name too (hint: rename one of them)")
    line = int(first.split(":")[1])
    assert name in text.splitlines()[line - 1] and line > text[: text.index('"sites"')].count("\n")


def test_a_site_may_have_a_links_name(network):
    data = json.loads(formats.to_json(network))
    data["sites"][3]["id"] = data["links"][0]["id"]
    assert formats.from_json(json.dumps(data)).sites[3].id in network.link


def test_zones_contain_their_own_sites_and_no_other(network):
    def swapped(data):
        one, other = list(data["zones4"])[:2]
        data["zones4"][one], data["zones4"][other] = data["zones4"][other], data["zones4"][one]

    with pytest.raises(InputError, match=r"net.json: zone .* does not contain .* of its site"):
        formats.from_json(damaged(network, swapped), "net.json")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nul"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(InputError, match="is not JSON"):
        formats.from_json(text, "net.json")


SAMPLES = Path(__file__).parents[2] / "samples" / "topologies"
READ_BACK = {"graphml": formats.to_graphml, "yaml": description.write, "json": formats.to_json}
NETWORKS = {
    "national": lambda: national_network(120, seed=7, swedish_route=True),
    **{path.name: lambda path=path: network_from(path, 45, seed=3) for path in sorted(SAMPLES.iterdir())},
}


@pytest.mark.parametrize("suffix", READ_BACK)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_exported_is_imported_as_it_was(name, suffix, tmp_path):
    """PoPs, routers, links with their order and ends, sites, lines, addresses: all of it."""
    exported = NETWORKS[name]()
    path = tmp_path / f"network.{suffix}"
    path.write_text(READ_BACK[suffix](exported), encoding="utf-8")
    imported = import_network(path)
    assert imported.network == exported
    assert imported.remarks == ()


def test_an_exported_network_can_be_imported_larger(tmp_path):
    small, large = (network_from(SAMPLES / "Ringnett.graphml", sites, seed=3) for sites in (30, 60))
    path = tmp_path / "network.graphml"
    path.write_text(formats.to_graphml(small), encoding="utf-8")
    assert network_from(path, 60, seed=3) == large


def test_damaged_graphml_of_ours_is_refused_at_its_line(network, tmp_path):
    text = formats.to_graphml(network)
    path = tmp_path / "network.graphml"
    path.write_text(text.replace('<data key="rate_bps">2500000000</data>', '<data key="rate_bps">-1</data>', 1))
    with pytest.raises(InputError, match=r"network\.graphml:\d+: links\.oslo-hamar\.rate: '-1 bit/s' .* negative"):
        network_from(path)


@pytest.mark.parametrize("name", NETWORKS)
def test_dot_has_every_router_site_link_and_line(name):
    """Held to DOT's grammar as far as we use it: statements of quoted ids and attributes (Graphviz itself read it)."""
    network = NETWORKS[name]()
    quoted = r'"(?:[^"\\]|\\.)*"'
    attributes = rf"\[\w+={quoted}(?:, \w+={quoted})*\]"
    nodes, edges = [], []
    for line in dot.to_dot(network).splitlines()[3:]:
        if node := re.fullmatch(rf"\s*({quoted}) {attributes};", line):
            nodes.append(json.loads(node[1]))
        elif edge := re.fullmatch(rf"\s*({quoted}) -- ({quoted}) {attributes};", line):
            edges.append((json.loads(edge[1]), json.loads(edge[2])))
        else:
            assert re.fullmatch(rf"\s*(subgraph {quoted} {{ label={quoted};|}})", line), line
    assert sorted(nodes) == sorted([*network.router, *network.site])
    lines = [(site.id, router) for site in network.sites for router in site.homing]
    assert edges == [(link.a, link.b) for link in network.links] + lines


def test_dot_quotes_what_people_write():
    network = national_network(None)
    odd = replace(network.sites[0], name='Ward "7" \\ east')
    text = dot.to_dot(replace(network, sites=(odd, *network.sites[1:])))
    assert 'label="Ward \\"7\\" \\\\ east"' in text


@pytest.mark.parametrize("name", NETWORKS)
def test_containerlab_joins_every_pair_by_interfaces_of_their_own(name):
    network = NETWORKS[name]()
    text = containerlab.to_containerlab(network)
    lab = yaml.safe_load(text)
    topology = lab["topology"]
    assert re.fullmatch(r"[a-z0-9_]+", lab["name"])
    assert set(topology["nodes"]) == {*network.router, *network.site}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", node) for node in topology["nodes"])  # container names
    assert topology["kinds"][topology["defaults"]["kind"]]["image"]
    ends = [end for link in topology.get("links", []) for end in link["endpoints"]]
    assert len(set(ends)) == len(ends)
    assert all(re.fullmatch(r"eth[1-9]\d{0,9}", end.partition(":")[2]) for end in ends)  # eth0 is containerlab's own
    joined = [tuple(end.partition(":")[0] for end in link["endpoints"]) for link in topology.get("links", [])]
    lines = [(site.id, line) for site in network.sites for line in site.accesses]
    assert joined == [(link.a, link.b) for link in network.links] + [(site, line.router) for site, line in lines]
    carried = [(link["vars"]["rate_bps"], link["vars"]["delay_us"]) for link in topology.get("links", [])]
    pipes: list[Link | AccessLink] = [*network.links, *(line for _, line in lines)]
    assert carried == [(pipe.rate_bps, pipe.delay_us) for pipe in pipes]
    commands = [line for line in text.splitlines() if line.startswith("#! ")]
    assert len(commands) == len(ends)
    node, _, interface = ends[0].partition(":")
    rate_kbps = -(-pipes[0].rate_bps // 1000)
    assert commands[0] == (
        f"#! containerlab tools netem set --node clab-{lab['name']}-{node} --interface {interface} "
        f"--delay {pipes[0].delay_us}us --rate {rate_kbps}"
    )


def test_json_with_names_and_numbers_that_cannot_be_is_refused(network):
    changes = {
        "net.json: '../../etc' is no name": lambda data: data["links"][0].update(id="../../etc"),
        "net.json: link oslo-hamar: rate_bps: 0 is no rate of a link": lambda data: data["links"][0].update(rate_bps=0),
        "net.json: link oslo-hamar: delay_us: -1 is no delay": lambda data: data["links"][0].update(delay_us=-1),
        "net.json: 0 is no index": lambda data: data["sites"][0].update(index=0),
    }
    for message, change in changes.items():
        with pytest.raises(InputError) as caught:
            formats.from_json(damaged(network, change), "net.json")
        assert str(caught.value).startswith(message)
