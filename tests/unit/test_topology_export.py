"""Exports: complete, readable by others, and JSON reads back."""

from __future__ import annotations

import json

import networkx as nx
import pytest

from topology import export
from topology.errors import InputError
from topology.national import national_network


@pytest.fixture(scope="module")
def network():
    return national_network(120, seed=7, swedish_route=True)


def test_json_reads_back_equal_and_is_stable(network):
    text = export.to_json(network)
    again = export.from_json(text)
    assert again == network
    assert export.to_json(again) == text


def test_graphml_has_every_router_site_link_and_line(network):
    graph = nx.parse_graphml(export.to_graphml(network), force_multigraph=True)
    assert set(graph) == set(network.router) | set(network.site)
    edges = {key: attributes for *_, key, attributes in graph.edges(keys=True, data=True)}
    assert set(edges) == set(network.link) | {f"{site.id}/{end}" for site in network.sites for end in site.homing}
    assert edges["narvik-oslo"]["delay_us"] == network.link["narvik-oslo"].delay_us
    assert graph.nodes["tromso-2"]["pop"] == "tromso" and graph.nodes["hospital-voss"]["label"] == "Voss sjukehus"


def test_geojson_has_points_and_lines_in_longitude_latitude_order(network):
    features = json.loads(export.to_geojson(network))["features"]
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
    data = json.loads(export.to_json(network))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["sites"][3].update(lat="north"), "net.json: sites[3].lat: 'north' should be a number"),
        (lambda data: data.pop("seed"), "net.json: seed: is missing (hint: add seed)"),
        (lambda data: data.update(format="other/1"), "net.json: format: 'other/1' is not allowed"),
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
        export.from_json(damaged(network, change), "net.json")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nul"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(InputError, match="is not JSON"):
        export.from_json(text, "net.json")
