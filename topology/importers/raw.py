"""The graph as read from a file: nodes and edges with their attributes as text and their line numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helsewan.common.errors import InputError, Problem

Attributes = Mapping[str, str]

MAX_DEPTH = 64  # nesting of elements or lists; published files have four levels
MAX_PARTS = 100_000  # nodes and edges; 20,000 sites with two access links each are 60,000


@dataclass(frozen=True, slots=True)
class Node:
    """A node; ``line`` is its first line in the file."""

    id: str
    attributes: Attributes
    line: int


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge between the nodes with these ids; ``id`` is empty if the file gives none."""

    id: str
    source: str
    target: str
    attributes: Attributes
    line: int


@dataclass(frozen=True)
class Graph:
    """The graph of a file; ``name`` is the file name in errors."""

    name: str
    directed: bool
    attributes: Attributes
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def where(self, line: int) -> str:
        """``file:line`` for an error."""
        return f"{self.name}:{line}"


def checked(graph: Graph) -> Graph:
    """``graph``, if node ids are unique and all edges end at nodes; otherwise raises ``InputError``."""
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for node in graph.nodes:
        if first.setdefault(node.id, node.line) != node.line:
            hint = f"it is first given on line {first[node.id]}"
            problems.append(Problem(graph.where(node.line), node.id, "node id is given twice", hint))
    for edge in graph.edges:
        for end in dict.fromkeys((edge.source, edge.target)):
            if end not in first:
                reason = "is the end of an edge and no node of this file"
                problems.append(Problem(graph.where(edge.line), end, reason, "add the node, or remove the edge"))
    if not graph.nodes:
        problems.append(Problem(graph.name, None, "has no nodes", "a network needs at least one"))
    if problems:
        raise InputError(*problems)
    return graph
