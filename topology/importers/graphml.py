"""Reads GraphML (graphml.graphdrawing.org) into nodes and edges, each with its line number.

Uses expat directly: networkx reports no line numbers, and accepts document types with entities. A document type is
rejected here, so no entity is expanded and nothing is fetched.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from helsewan.common.errors import InputError, Problem
from helsewan.common.library_words import xml_reason
from helsewan.topology.importers.raw import MAX_DEPTH, MAX_PARTS, Edge, Graph, Node, checked

_OWNERS = ("graph", "node", "edge")
_DRAWN_LABELS = ("NodeLabel", "EdgeLabel")  # of yEd, inside a data element


def read(raw: bytes, name: str) -> Graph:
    """The graph in a GraphML file; ``name`` is the file name in errors. Raises ``InputError``."""
    reader = _Reader(name)
    parser = expat.ParserCreate(namespace_separator="}")
    reader.parser = parser
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        where = f"{name}:{error.lineno}:{error.offset + 1}"
        raise InputError(Problem(where, None, xml_reason(error.code), "it may be cut off")) from None
    except (LookupError, ValueError):  # an encoding unknown to Python, or not a text encoding
        raise InputError(
            Problem(f"{name}:1", None, "is not XML: its encoding is not known", "save the file as UTF-8")
        ) from None
    if "graph" not in reader.seen:
        raise InputError(Problem(name, None, "is not GraphML: it has no graph element", "check the file"))
    return checked(reader.graph())


@dataclass
class _Key:
    """A declared attribute: its name, the kind of element it is for, and its default value."""

    name: str
    owner: str
    default: str | None = None
    drawing: bool = False  # of a drawing program: shapes and colours, with the label among them


@dataclass
class _Open:
    """An open graph, node or edge element."""

    kind: str
    attributes: dict[str, str]
    line: int
    data: dict[str, str] = field(default_factory=dict)
    label: str = ""  # in a drawing (yEd)


@dataclass
class _Reader:
    name: str
    parser: expat.XMLParserType = field(init=False)
    keys: dict[str, _Key] = field(default_factory=dict)
    owners: list[_Open] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    parts: int = 0  # graphs, nodes and edges so far
    directed: bool = False
    closed: dict[str, list[_Open]] = field(default_factory=lambda: defaultdict(list))
    written: list[str] | None = None  # the text of the open data or default element, if any
    key: str = ""  # the key it belongs to
    drawn: list[str] | None = None  # the text of the open label of a drawing, if any

    def fail(self, value: object, reason: str, hint: str) -> NoReturn:
        raise InputError(Problem(f"{self.name}:{self.parser.CurrentLineNumber}", value, reason, hint))

    def doctype(self, *_: object) -> None:
        self.fail(None, "has a document type declaration", "remove it: GraphML needs none, and entities are not read")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        kind = tag.rpartition("}")[2]
        if len(self.elements) == MAX_DEPTH:
            self.fail(None, f"is nested deeper than {MAX_DEPTH} levels", "flatten the file")
        if not self.elements and kind != "graphml":
            self.fail(kind, "is not GraphML's first element", "a GraphML file begins with <graphml>")
        self.elements.append(kind)
        if kind == "key":
            self.declare(attributes)
        elif kind in _OWNERS:
            self.open(kind, attributes)
        elif kind == "hyperedge":
            self.fail(None, "hyperedges are not read", "replace it by a node with an edge to each end")
        elif kind in ("data", "default") and self.written is None:
            self.key = attributes.get("key", "") if kind == "data" else self.key
            if kind == "data" and self.key not in self.keys:
                self.fail(self.key, "is no key of this file", "declare it above the graph: <key id=... attr.name=...>")
            self.written = []
        elif kind in _DRAWN_LABELS and self.written is not None:
            self.drawn = []

    def declare(self, attributes: dict[str, str]) -> None:
        self.key = attributes.get("id", "")
        if not self.key:
            self.fail(None, "the key has no id", "add one: data elements refer to it")
        name, drawing = attributes.get("attr.name"), "yfiles.type" in attributes
        self.keys[self.key] = _Key(name or self.key, attributes.get("for", "all"), drawing=drawing and not name)

    def open(self, kind: str, attributes: dict[str, str]) -> None:
        if kind == "graph":
            if "graph" in self.seen:
                self.fail(None, "a second graph begins here", "keep one graph a file, with no graph inside a node")
            self.directed = attributes.get("edgedefault") == "directed"
        for needed in {"node": ("id",), "edge": ("source", "target")}.get(kind, ()):
            if not attributes.get(needed):
                self.fail(None, f"the {kind} has no {needed}", f"add {needed}=...")
        self.seen.add(kind)
        self.parts += 1
        if self.parts > MAX_PARTS:
            self.fail(None, f"is the {MAX_PARTS}th node or edge: too many", "export a smaller network")
        self.owners.append(_Open(kind, attributes, self.parser.CurrentLineNumber))

    def text(self, text: str) -> None:
        if self.drawn is not None:
            self.drawn.append(text)
        if self.written is not None:
            self.written.append(text)

    def end(self, tag: str) -> None:
        kind = self.elements.pop()
        if kind in _OWNERS:
            owner = self.owners.pop()
            if owner.label and not owner.data.get("label"):
                owner.data["label"] = owner.label
            self.closed[owner.kind].append(owner)
        elif kind in _DRAWN_LABELS and self.drawn is not None:
            label, self.drawn = "".join(self.drawn).strip(), None
            if self.owners and not self.owners[-1].label:  # further labels are remarks beside it
                self.owners[-1].label = label
        elif kind in ("data", "default") and self.written is not None and kind not in self.elements:
            value, self.written = "".join(self.written).strip(), None
            if kind == "default":
                self.keys[self.key].default = value
            elif self.owners and not self.keys[self.key].drawing:
                self.owners[-1].data[self.keys[self.key].name] = value

    def described(self, owner: _Open) -> dict[str, str]:
        """The attributes of an element, with the defaults of those it does not give."""
        wanted = (key for key in self.keys.values() if key.default is not None and key.owner in (owner.kind, "all"))
        return {key.name: key.default or "" for key in wanted} | owner.data

    def graph(self) -> Graph:
        nodes = (Node(node.attributes["id"], self.described(node), node.line) for node in self.closed["node"])
        edges = (
            Edge(
                edge.attributes.get("id", ""),
                edge.attributes["source"],
                edge.attributes["target"],
                self.described(edge),
                edge.line,
            )
            for edge in self.closed["edge"]
        )
        attributes = self.described(self.closed["graph"][0])
        return Graph(self.name, self.directed, attributes, tuple(nodes), tuple(edges))
