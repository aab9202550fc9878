"""Labels of maps as their programs write them, attributes without a meaning here, and maps too large to emulate."""

from __future__ import annotations

from pathlib import Path

import pytest

from helsewan.cli.topology import _writers
from helsewan.common.errors import InputError
from helsewan.controller.rules import label_rules
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.construction.backbone import FIRST_LABEL, LABELS, LABELS_PER_PAIR, MAX_ROUTERS
from helsewan.topology.importers import import_network, network_from

YED = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">
  <key for="graphml" id="d0" yfiles.type="resources"/>
  <key for="node" id="d4" attr.name="description" attr.type="string"/>
  <key for="node" id="d5" yfiles.type="nodegraphics"/>
  <key for="edge" id="d6" attr.name="label" attr.type="string"/>
  <key for="edge" id="d7" yfiles.type="edgegraphics"/>
  <graph edgedefault="directed" id="G">
    <node id="n0"><data key="d4"/><data key="d5"><y:ShapeNode><y:Geometry height="15.0"/>
      <y:NodeLabel alignment="center">Mo i
 Rana<y:LabelModel><y:SmartNodeLabelModel distance="4.0"/></y:LabelModel></y:NodeLabel>
      <y:NodeLabel>second line</y:NodeLabel></y:ShapeNode></data></node>
    <node id="n1"><data key="d5"><y:ShapeNode><y:NodeLabel>Bodø</y:NodeLabel></y:ShapeNode></data></node>
    <node id="n2"><data key="d5"><y:ShapeNode><y:NodeLabel hasText="false"/></y:ShapeNode></data></node>
    <edge id="e0" source="n0" target="n1"><data key="d7"><y:PolyLineEdge>
      <y:EdgeLabel>2x10 Gbps</y:EdgeLabel></y:PolyLineEdge></data></edge>
    <edge id="e1" source="n1" target="n2"><data key="d6"><![CDATA[155 Mbps]]></data><data key="d7"><y:PolyLineEdge>
      <y:EdgeLabel>ring</y:EdgeLabel></y:PolyLineEdge></data></edge>
  </graph>
  <data key="d0"><y:Resources/></data>
</graphml>
"""


def test_labels_drawn_in_yed_are_read(tmp_path: Path) -> None:
    path = tmp_path / "drawn.graphml"
    path.write_text(YED, encoding="utf-8")
    imported = import_network(path)
    assert [(pop.id, pop.town) for pop in imported.network.pops] == [
        ("mo-i-rana", "Mo i Rana"), ("bodo", "Bodø"), ("n2", "n2"),
    ]  # fmt: skip
    assert [link.rate_bps for link in imported.network.links] == [20_000_000_000, 155_000_000]  # an attribute wins
    assert not [remark for remark in imported.remarks if "no meaning" in remark]  # nothing but the drawing is left out


@pytest.mark.parametrize("label", ["None", "none", "?", "", "NaN", "null", "  None ", "Unknown"])
def test_a_node_without_a_name_is_named_by_its_number(label: str, tmp_path: Path) -> None:
    path = tmp_path / "nameless.gml"
    nodes = f'node [ id 7 label "Oslo" ] node [ id 32 label "{label}" hyperedge 1 ] node [ id 33 label "{label}" ]'
    path.write_text(f"graph [ {nodes} edge [ source 7 target 32 ] edge [ source 32 target 33 ] ]")
    network = network_from(path)
    assert [pop.id for pop in network.pops] == ["oslo", "node-32", "node-33"]
    assert not [site.id for site in network.sites if "none" in site.id or "none" in site.name.lower()]


def test_a_place_called_nonesuch_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "named.gml"
    path.write_text('graph [ node [ id 1 label "None-sur-Mer" ] ]')
    assert [pop.id for pop in network_from(path).pops] == ["none-sur-mer"]


def test_attributes_without_a_meaning_are_named(tmp_path: Path) -> None:
    path = tmp_path / "more.gml"
    path.write_text(
        'graph [ node [ id 1 label "A" Country "Norway" type "core" x 3 ] node [ id 2 label "B" empty "" ]\n'
        'edge [ source 1 target 2 LinkStatus "Planned" LinkLabel "10G" weight 4 ] ]'
    )
    said = "left out: attributes that have no meaning here: Country, type, x of nodes; LinkStatus, weight of edges"
    assert said in import_network(path).remarks


def test_the_remark_on_attributes_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "many.gml"
    path.write_text("graph [ node [ id 1 " + " ".join(f"{'k' * 200}{n} {n}" for n in range(1000)) + " ] ]")
    remark = next(remark for remark in import_network(path).remarks if "no meaning" in remark)
    assert "990 more of nodes" in remark and len(remark) < 1_200


def test_a_map_too_large_to_emulate_is_shown_and_exported(tmp_path: Path) -> None:
    """As Kdl of the Zoo, which has 754 nodes."""
    path = tmp_path / "large.gml"
    ring = " ".join(f"node [ id {n} ] edge [ source {n} target {(n + 1) % 754} ]" for n in range(754))
    path.write_text(f"graph [ {ring} ]")
    network = network_from(path)
    assert len(network.routers) == 754
    for name, write in _writers().items():
        assert len(write(network)) > 50_000, name
    for suffix, name in ((".yaml", "yaml"), (".graphml", "graphml"), (".json", "json")):
        again = tmp_path / f"again{suffix}"
        again.write_text(_writers()[name](network), encoding="utf-8")
        assert network_from(again) == network
    with pytest.raises(InputError) as caught:
        compile_policy(load_policy(library_path("open")), network)
    assert str(caught.value) == (
        "network large: 754 routers are too many for policies and emulation: their detours need 1,137,032 labels of "
        "1,038,576 (hint: 700 at most; `helsewan topology show` and `export` take 5000)"
    )


def test_the_limit_is_what_the_labels_allow() -> None:
    assert LABELS_PER_PAIR * MAX_ROUTERS**2 <= LABELS - FIRST_LABEL < LABELS_PER_PAIR * (MAX_ROUTERS + 30) ** 2
    assert (label_rules.FIRST_LABEL, label_rules._LABEL_LIMIT) == (FIRST_LABEL, LABELS)
