"""Reads GML (Himsolt, 1997) into nodes and edges, each with its line number.

networkx cannot read the Topology Zoo's GML files as published: it rejects repeated labels, parallel edges without a
``multigraph`` flag and non-ASCII characters. The format consists of keys with numbers, strings or lists; this parser
reads all of it, without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import NoReturn

from helsewan.common.errors import InputError, Problem
from helsewan.topology.importers.raw import MAX_DEPTH, MAX_PARTS, Edge, Graph, Node, checked

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<open>\[)|(?P<close>\])|"(?P<text>[^"]*)"|(?P<word>[^\s\[\]"]+)""", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?|[+-]?INF|NAN", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_KINDS = {(): "file", ("graph",): "graph", ("graph", "node"): "node", ("graph", "edge"): "edge"}


def read(raw: bytes, name: str) -> Graph:
    """The graph in a GML file; ``name`` is the file name in errors. Raises ``InputError``."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # the format's own character set is ISO 8859-1
        text = raw.decode("latin-1")
    parser = _Parser(name)
    for kind, value, line in _tokens(text, name):
        parser.take(kind, value, line)
    return checked(parser.graph())


def _tokens(text: str, name: str) -> Iterator[tuple[str, str, int]]:
    """(kind, value, line) of each token except whitespace and comments."""
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InputError(Problem(f"{name}:{line}", None, "a text that begins here has no end", 'add the "'))
        kind = match.lastgroup or ""
        if kind != "space":
            yield kind, match[kind], line
        line += match[0].count("\n")
        position = match.end()


@dataclass
class _List:
    """An open list: the keys that lead to it, its first line, and its scalar values."""

    path: tuple[str, ...]
    line: int
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class _Parser:
    name: str
    stack: list[_List] = field(default_factory=lambda: [_List((), 1)])
    key: str | None = None
    found: dict[str, list[_List]] = field(default_factory=lambda: {"graph": [], "node": [], "edge": []})

    def fail(self, line: int, value: object, reason: str, hint: str) -> NoReturn:
        raise InputError(Problem(f"{self.name}:{line}", value, reason, hint))

    def take(self, kind: str, value: str, line: int) -> None:
        """Handle one token: a key, then its value."""
        if kind == "close":
            if self.key is not None:
                self.fail(
                    line, "]", f"stands where the value of {self.key} should be", "add a number, a text or a list"
                )
            if len(self.stack) == 1:
                self.fail(line, "]", "closes nothing that is open", "remove it, or add the [")
            self.close()
        elif self.key is None:
            if kind != "word" or not _KEY.fullmatch(value):
                self.fail(line, value[:40], "is no GML key", "check the text just before it")
            self.key = value
        elif kind == "open":
            self.open(line)
        else:
            if kind == "word" and not _NUMBER.fullmatch(value):
                self.fail(line, value[:40], "is no GML value", "write a number, a text in quotes or a list")
            self.stack[-1].values[self.key] = unescape(value) if kind == "text" else value
            self.key = None

    def open(self, line: int) -> None:
        path = (*self.stack[-1].path, str(self.key))
        if len(path) > MAX_DEPTH:
            self.fail(line, None, f"is nested deeper than {MAX_DEPTH} levels", "flatten the file")
        if path == ("graph",) and (self.found["graph"] or len(self.stack) > 1):
            self.fail(line, None, "a second graph begins here", "keep one graph a file")
        self.stack.append(_List(path, line))
        self.key = None

    def close(self) -> None:
        closed = self.stack.pop()
        kind = _KINDS.get(closed.path)
        if kind in self.found:
            for needed in {"node": ("id",), "edge": ("source", "target")}.get(kind, ()):
                if not closed.values.get(needed):
                    self.fail(closed.line, None, f"the {kind} has no {needed}", f"add {needed}")
            self.found[kind].append(closed)
            if sum(map(len, self.found.values())) > MAX_PARTS:
                self.fail(closed.line, None, f"is the {MAX_PARTS}th node or edge: too many", "export a smaller network")

    def graph(self) -> Graph:
        """The graph, after the last token."""
        if self.key is not None or len(self.stack) > 1:
            where = self.stack[-1].line
            self.fail(where, self.key, "is not complete: the file ends before it does", "the file may be cut off")
        if not self.found["graph"]:
            self.fail(1, None, "is not GML: it has no graph", "a GML file holds graph [ node [ ... ] edge [ ... ] ]")
        values = self.found["graph"][0].values
        nodes = (Node(node.values["id"], node.values, node.line) for node in self.found["node"])
        edges = (
            Edge(edge.values.get("id", ""), edge.values["source"], edge.values["target"], edge.values, edge.line)
            for edge in self.found["edge"]
        )
        return Graph(self.name, values.get("directed") == "1", values, tuple(nodes), tuple(edges))
