"""What a user reads when a network file will not do, one golden section a case; and that no file does worse."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from helsewan.cli.tables.topology import print_topology
from helsewan.common.errors import InputError
from helsewan.controller.rules.paths import compute_paths
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology import importers
from helsewan.topology.exporters import formats
from helsewan.topology.importers import MAX_BYTES, Imported, description, gml, graphml, import_network, network_from
from helsewan.topology.model import Network

SAMPLES = Path(__file__).parents[2] / "samples" / "topologies"
GOLDEN = Path(__file__).parents[2] / "golden" / "topology" / "import-errors.txt"

HEAD = '<?xml version="1.0"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
KEYS = '<key id="a" for="node" attr.name="Latitude"/><key id="o" for="node" attr.name="Longitude"/>\n'
SPEED = '<key id="s" for="edge" attr.name="LinkSpeedRaw"/>\n'
TWO = '<node id="0"/>\n<node id="1"/>\n'
OPEN = load_policy(library_path("open"))
YAML = (SAMPLES / "three-towns.yaml").read_text()


def graph(body: str, keys: str = "") -> str:
    return f'{HEAD}{keys}<graph edgedefault="undirected">\n{body}</graph>\n</graphml>\n'


CASES: dict[str, str | bytes] = {
    "empty.graphml": "",
    "cut-off.graphml": graph(TWO)[:-20],
    "html.graphml": "<html><body>404 Not Found</body></html>",
    "no-graph.graphml": HEAD + "</graphml>",
    "no-nodes.graphml": graph(""),
    "doctype.graphml": '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>\n<graphml>&lol2;</graphml>',
    "external-entity.graphml": '<!DOCTYPE g SYSTEM "file:///etc/passwd">\n<graphml/>',
    "odd-encoding.graphml": '<?xml version="1.0" encoding="klingon"?>\n<graphml/>',
    "binary.graphml": bytes(range(256)),
    "deep.graphml": HEAD + "<a>" * 100_000,
    "no-key.graphml": graph('<node id="0"><data key="d9">1</data></node>\n'),
    "no-id.graphml": graph('<node id="0"/>\n<node/>\n'),
    "no-target.graphml": graph(TWO + '<edge source="0"/>\n'),
    "twice.graphml": graph(TWO + '<node id="1"/>\n'),
    "dangling.graphml": graph(TWO + '<edge source="0" target="2"/>\n<edge source="3" target="0"/>\n'),
    "hyperedge.graphml": graph(TWO + '<hyperedge><endpoint node="0"/></hyperedge>\n'),
    "two-graphs.graphml": HEAD + '<graph edgedefault="undirected"><node id="0"/></graph>\n<graph/>\n</graphml>',
    "off-the-map.graphml": graph(
        '<node id="0"><data key="a">north</data><data key="o">1</data></node>\n'
        '<node id="1"><data key="a">91</data><data key="o">-181</data></node>\n'
        '<edge source="0" target="1"/>\n', KEYS),
    "odd-speed.graphml": graph(
        TWO + '<edge source="0" target="1"><data key="s">1e30</data></edge>\n'
        '<edge source="0" target="1"><data key="s">-5</data></edge>\n'
        '<edge source="0" target="1"><data key="s">fast</data></edge>\n', SPEED),
    "external.graphml": graph(
        '<node id="0"><data key="i">0</data></node>\n', '<key id="i" for="node" attr.name="Internal"/>\n'),
    "too-many.graphml": graph(
        "".join(f'<node id="{n}"/><edge source="0" target="{n}"/>' for n in range(5_001))
    ),
    "empty.gml": "",
    "not.gml": "This is not the file you are looking for.",
    "no-graph.gml": 'Creator "me"\n',
    "cut-off.gml": "graph [\n  node [\n    id 0\n",
    "open-text.gml": 'graph [\n  node [ id 0 label "Oslo ]\n]\n',
    "closed.gml": "graph [ ]\n]\n",
    "no-value.gml": "graph [ node [ id ] ]",
    "no-id.gml": 'graph [\n  node [ label "Oslo" ]\n]\n',
    "no-source.gml": "graph [\n  node [ id 0 ]\n  edge [ target 0 ]\n]\n",
    "twice.gml": "graph [\n  node [ id 0 ]\n  node [ id 0 ]\n]\n",
    "dangling.gml": "graph [\n  node [ id 0 ]\n  edge [ source 0 target 7 ]\n]\n",
    "no-list.gml": "graph [ node [ id 0 ] edge [ source 0 target ",
    "deep.gml": "graph [ " + "a [ " * 100_000,
    "two-graphs.gml": "graph [ node [ id 0 ] ]\ngraph [ node [ id 0 ] ]\n",
    "off-the-map.gml": "graph [\n  node [ id 0 Latitude 1e400 Longitude 0 ]\n]\n",
    "unknown-key.yaml": YAML.replace("srlg", "slrg", 1),
    "no-unit.yaml": YAML.replace("rate: 2.5 Gbit/s", "rate: 2.5", 1),
    "no-length.yaml": YAML.replace(", km: 480", ""),
    "no-rate.yaml": YAML.replace("rate: 1 Gbit/s, delay: 3 ms", "delay: 3 ms"),
    "too-fast.yaml": YAML.replace("rate: 1 Gbit/s, delay: 3 ms", "rate: 11 Tbit/s, delay: 3 ms"),
    "no-such-router.yaml": YAML.replace("router: bergen", "router: bregen"),
    "no-such-end.yaml": YAML.replace("b: hamar", "b: hammar"),
    "to-itself.yaml": YAML.replace("{a: hamar, b: bergen", "{a: bergen, b: bergen"),
    "parted.yaml": YAML.replace("a: oslo-1, b: hamar", "a: oslo-1, b: oslo-2").replace("a: hamar, b", "a: oslo-1, b"),
    "stolen-router.yaml": YAML.replace("bergen: {town: Bergen,", "bergen: {town: Bergen, routers: [oslo-1],"),
    "same-name.yaml": YAML.replace("  gp-lake:", "  oslo-1:"),
    "same-name-as-a-pop.yaml": YAML.replace("  gp-lake:", "  oslo:"),
    "one-router-twice.yaml": YAML.replace("{router: hamar, rate: 1 Gbit/s", "{router: oslo-1, rate: 1 Gbit/s"),
    "some-regions.yaml": YAML.replace("oslo: {town: Oslo,", "oslo: {town: Oslo, region: ost,"),
    "odd-kind.yaml": YAML.replace("kind: gp,", "kind: dentist,"),
    "off-the-map.yaml": YAML.replace("lat: 60.79", "lat: 160.79"),
    "bad-name.yaml": YAML.replace("hospital-west:", "../../etc:"),
    "no-lines.yaml": YAML.replace("lines: [{router: bergen, rate: 34 Mbit/s, km: 3}]", "lines: []"),
    "no-room-for-ipv6.yaml": YAML.replace("rate: 34 Mbit/s, km: 3", "rate: 34 Mbit/s, km: 3, mtu: 1279 B"),
    "longer-than-ethernet.yaml": YAML.replace("rate: 34 Mbit/s, km: 3", "rate: 34 Mbit/s, km: 3, mtu: 9000 B"),
    "no-pops.yaml": "name: nowhere\npops: {}\n",
    "not.json": "{",
    "other.json": '{"format": "other"}',
}  # fmt: skip


def complaint(path: Path, text: str | bytes, sites: int | None = None) -> str:
    """What is said of a file."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as caught:
        import_network(path, sites)
    return str(caught.value).replace(str(path), path.name)


def test_messages_are_the_golden_ones(tmp_path: Path) -> None:
    sections = [f"== {name}\n{complaint(tmp_path / name, text)}\n" for name, text in CASES.items()]
    text = "\n".join(sections)
    if os.environ.get("HELSEWAN_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_each_problem_is_one_line_that_says_where_and_why(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(InputError) as caught:
        path.write_bytes(CASES[name].encode() if isinstance(CASES[name], str) else CASES[name])
        import_network(path)
    for problem in caught.value.problems:
        assert str(problem).startswith(str(path)) and "\n" not in str(problem) and len(str(problem)) < 400
        assert problem.reason


@pytest.mark.parametrize(
    ("name", "sites", "said"),
    [
        ("Ringnett.graphml", 3, "--sites: 3 is too few (hint: hospitals, services and data centres alone are 18)"),
        ("Ringnett.graphml", 50_000, "--sites: 50000 is too many (hint: use 20000 at most)"),
        ("three-towns.yaml", 3, "--sites: 3 is too few (hint: the sites in the file alone are 4)"),
    ],
)
def test_a_number_of_sites_that_cannot_be(name: str, sites: int, said: str) -> None:
    with pytest.raises(InputError) as caught:
        import_network(SAMPLES / name, sites)
    assert str(caught.value) == said


def test_more_nodes_than_any_network_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in (gml, graphml):
        monkeypatch.setattr(reader, "MAX_PARTS", 10)
    said = "is the 10th node or edge: too many (hint: export a smaller network)"
    assert complaint(tmp_path / "many.gml", "graph [\n" + "node [ id 1 ]\n" * 11) == f"many.gml:12: {said}"
    assert complaint(tmp_path / "many.graphml", graph('<node id="1"/>\n' * 11)) == f"many.graphml:13: {said}"


def test_a_label_is_no_markup_and_not_endless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a label says is shown as it stands; control characters and what is beyond a line are not."""
    path = tmp_path / "labels.gml"
    names = ("[/red]", "a\u001b[2Jb", "x" * 10_000)
    nodes = [f'node [ id {n} label "{name}" ]' for n, name in enumerate(names)]
    path.write_text(f"graph [ {' '.join(nodes)} edge [ source 0 target 1 ] edge [ source 0 target 2 ] ]")
    network = import_network(path).network
    assert [pop.town for pop in network.pops] == ["[/red]", "a[2Jb", "x" * 100]
    assert [pop.id for pop in network.pops] == ["red", "a-2jb", "x" * 40]
    print_topology(network)
    assert "single point of failure: [/red] (" in capsys.readouterr().out


def test_a_missing_file_a_folder_and_a_huge_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nowhere\.gml: no such file"):
        import_network(tmp_path / "nowhere.gml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        import_network(tmp_path)
    monkeypatch.setattr(importers, "MAX_BYTES", 1000)
    assert complaint(tmp_path / "huge.gml", " " * 1001) == (
        "huge.gml: is larger than 1000 bytes (hint: export a smaller network)"
    )
    assert MAX_BYTES >= 10_000_000


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_a_file_without_its_suffix_is_read_by_what_it_looks_like(name: str, tmp_path: Path) -> None:
    nameless = tmp_path / Path(name).stem
    nameless.write_bytes((SAMPLES / name).read_bytes())
    assert import_network(nameless).network == import_network(SAMPLES / name).network


def outcome(path: Path, raw: bytes) -> Imported | None:
    """A network or an InputError of whole lines: anything else fails the test."""
    path.write_bytes(raw)
    try:
        imported = import_network(path)
    except InputError as error:
        assert error.problems and all("\n" not in str(problem) for problem in error.problems)
        return None
    assert isinstance(imported.network, Network)
    return imported


@settings(max_examples=200)
@given(raw=st.binary(max_size=400), suffix=st.sampled_from([".graphml", ".gml", ".yaml", ".json", ""]))
def test_random_bytes_give_an_error_and_nothing_worse(
    raw: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome(tmp_path_factory.getbasetemp() / f"random{suffix}", raw)


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(path.name for path in SAMPLES.iterdir())),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=12)), min_size=1, max_size=6),
)
def test_mutated_files_give_a_network_or_an_error(
    name: str, cuts: list[tuple[float, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = (SAMPLES / name).read_bytes()
    for place, length, put in cuts:
        at = round(place * len(raw))
        raw = raw[:at] + put + raw[at + length :]
    outcome(tmp_path_factory.getbasetemp() / name, raw)


ODD = [-1, 0, 1, 2**40, "", "x", "../..", None, 1e400, -0.5, [], {}, "10.0.0.0/31", "ost", "9 Gbit/s", "1 ms"]


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value, lists and maps too."""
    if path:
        yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from leaves(value, (*path, key))


@settings(max_examples=300)
@given(data=st.data(), suffix=st.sampled_from([".json", ".yaml"]))
def test_a_network_with_odd_values_is_refused_or_compiles(
    data: st.DataObject, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in place of some values of our own formats: it is refused, or a policy can live with it."""
    network = network_from(SAMPLES / "three-towns.yaml")
    whole = json.loads(formats.to_json(network)) if suffix == ".json" else yaml.safe_load(description.write(network))
    paths = list(leaves(whole))
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        owner = whole
        with suppress(KeyError, IndexError, TypeError):  # an earlier change took it away
            for key in path[:-1]:
                owner = owner[key]
            owner[path[-1]] = deepcopy(data.draw(st.sampled_from(ODD)))  # a later change may go into it
    text = json.dumps(whole) if suffix == ".json" else yaml.safe_dump(whole)
    imported = outcome(tmp_path_factory.getbasetemp() / f"odd{suffix}", text.encode())
    if imported is not None:
        with suppress(InputError):
            plan = compile_policy(OPEN, imported.network)
            compute_paths(imported.network, plan.egresses)


@settings(max_examples=200)
@given(
    tokens=st.lists(
        st.sampled_from(
            ["graph [", "node [", "edge [", "]", "id 0", "id 1", "id 2", "source 0", "target 1", "target 2",
             "Internal 0", "hyperedge 1", "Latitude 90", "Longitude 180", "Latitude -90", 'label "Oslo"', 'label ""',
             "directed 1", 'LinkLabel "10 Gbps"', "LinkSpeedRaw 0", "#", "\n"]
        ), max_size=40)
)  # fmt: skip
def test_gml_of_any_shape_gives_a_network_or_an_error(
    tokens: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] " + " ".join(tokens)
    outcome(tmp_path_factory.getbasetemp() / "shape.gml", text.encode())


@settings(max_examples=60)
@given(data=st.data())
def test_any_graph_becomes_a_network_of_its_largest_part(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random multigraphs, with and without places: every edge of the part that is kept is a link."""
    number = data.draw(st.integers(1, 12))
    ends = st.tuples(st.integers(0, number - 1), st.integers(0, number - 1))
    edges = data.draw(st.lists(ends, max_size=25))
    degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
    places = [data.draw(st.none() | degrees) for _ in range(number)]
    nodes = [
        f"node [ id {n} ]" if place is None else f"node [ id {n} Latitude {place[0]!r} Longitude {place[1]!r} ]"
        for n, place in enumerate(places)
    ]
    text = "graph [" + " ".join([*nodes, *(f"edge [ source {a} target {b} ]" for a, b in edges)]) + "]"
    imported = outcome(tmp_path_factory.getbasetemp() / "any.gml", text.encode())
    assert imported is not None
    network = imported.network
    kept = {pop.id for pop in network.pops}
    assert len(network.links) == sum(a != b and f"node-{a}" in kept for a, b in edges)
    assert all(0 < link.delay_us < 200_000 for link in network.links)
    assert all(-90 <= site.lat <= 90 and -180 <= site.lon <= 180 for site in network.sites)
