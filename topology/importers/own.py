"""Converts GraphML exported here to a network description, which is then validated against its schema."""

from __future__ import annotations

from math import inf
from typing import Any

from helsewan.common.document import Document
from helsewan.common.yaml_tree import Path
from helsewan.topology.importers.raw import Attributes, Edge, Graph, Node

ROUTER, LINK = "router", "fibre"
_SITE_KEYS = ("kind", "region", "municipality", "tier")


def is_own(graph: Graph) -> bool:
    """Whether ``helsewan.topology.exporters.formats.to_graphml`` wrote the graph: some node is a router with a PoP."""
    return any(node.attributes.get("kind") == ROUTER and "pop" in node.attributes for node in graph.nodes)


def description(graph: Graph) -> Document:
    """The graph as a document for ``helsewan.topology.importers.description.read``."""
    return _Translation(graph).document()


class _Translation:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lines: dict[Path, int] = {(): 1}
        self.lines_of: dict[str, list[dict[str, Any]]] = {}

    def document(self) -> Document:
        about = self.graph.attributes
        data: dict[str, Any] = {"name": about.get("name", ""), "pops": {}, "links": {}, "sites": {}}
        if about.get("seed", "").isdecimal():
            data["seed"] = int(about["seed"])
        if about.get("operations"):
            data["operations"] = about["operations"]
        for node in sorted(self.graph.nodes, key=_place):
            if node.attributes.get("kind") == ROUTER:
                self.router(data["pops"], node.id, node.attributes, node.line)
            else:
                data["sites"][node.id] = self.site(node.id, node.attributes, node.line)
        for edge in sorted(self.graph.edges, key=lambda edge: (_place(edge), edge.attributes.get("kind") == "backup")):
            if edge.attributes.get("kind") == LINK:
                data["links"][edge.id] = self.link(edge)
            else:
                self.access_line(edge)
        return Document(self.graph.name, data, self.lines)

    def router(self, pops: dict[str, Any], id_: str, about: Attributes, line: int) -> None:
        pop = pops.setdefault(about.get("pop", ""), self.placed(about) | {"routers": []})
        pop["town"] = about.get("town", "")
        pop["region"] = about.get("region")
        self.lines[("pops", about.get("pop", ""))] = line
        pop["routers"].append(id_)

    def site(self, id_: str, about: Attributes, line: int) -> dict[str, Any]:
        self.lines[("sites", id_)] = line
        lines = self.lines_of.setdefault(id_, [])
        tags = [tag for tag in about.get("tags", "").split(",") if tag]
        given = {key: about[key] for key in _SITE_KEYS if key in about}
        return self.placed(about) | given | {"name": about.get("label", ""), "tags": tags, "lines": lines}

    def placed(self, about: Attributes) -> dict[str, Any]:
        return {key: _number(about[name]) for key, name in (("lat", "latitude"), ("lon", "longitude")) if name in about}

    def link(self, edge: Edge) -> dict[str, Any]:
        self.lines[("links", edge.id)] = edge.line
        a = edge.attributes.get("a", edge.source)
        b = edge.source if a == edge.target else edge.target
        srlg = [group for group in edge.attributes.get("srlg", "").split(",") if group]
        return {"a": a, "b": b, "srlg": srlg, "km": _number(edge.attributes.get("fibre_km", ""))} | self.carries(edge)

    def access_line(self, edge: Edge) -> None:
        site, router = (edge.source, edge.target) if edge.source in self.lines_of else (edge.target, edge.source)
        lines = self.lines_of.setdefault(site, [])
        self.lines[("sites", site, "lines", len(lines))] = edge.line
        lines.append({"router": router} | self.carries(edge))

    def carries(self, edge: Edge) -> dict[str, Any]:
        units = (("rate", "rate_bps", "bit/s"), ("delay", "delay_us", "us"), ("mtu", "mtu_bytes", "B"))
        return {key: f"{edge.attributes[name]} {unit}" for key, name, unit in units if name in edge.attributes}


def _place(part: Node | Edge) -> float:
    """Sort key: the index in the exported network; parts without one come last, in file order."""
    index = _number(part.attributes.get("index", ""))
    return index if isinstance(index, float) else inf


def _number(text: str) -> Any:
    """The number in ``text``, or ``text`` itself if it is none: the schema then reports it."""
    try:
        return float(text)
    except ValueError:
        return text
