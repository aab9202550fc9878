"""Networks from files: GraphML and GML (of the Internet Topology Zoo, or exported here), network descriptions, JSON.

Entry points: ``network_from`` and ``import_network``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helsewan.common import document
from helsewan.common.errors import InputError, Problem
from helsewan.topology.construction import access, addressing
from helsewan.topology.construction.backbone import check_size
from helsewan.topology.construction.naming import slug
from helsewan.topology.exporters import formats
from helsewan.topology.importers import description, gml, graphml, own, zoo
from helsewan.topology.importers.raw import Graph
from helsewan.topology.model import Network
from helsewan.topology.national.attach import attach, extend

_TEXT = "network"  # where errors in a text are, for which there is no file's name
MAX_BYTES = 32_000_000  # the JSON of a network of 20,000 sites has about 20 MB
FORMATS = "GraphML (.graphml), GML (.gml), a network description (.yaml, .yml) and our own JSON (.json)"
MAX_VALUES = 1_000_000  # the YAML of such a network has about 400,000


@dataclass(frozen=True)
class Imported:
    """A network, and remarks on what was left out or assumed on import, one line each."""

    network: Network
    remarks: tuple[str, ...] = ()


def network_from(source: Path | str, sites: int | None = None, seed: int = 1) -> Network:
    """The network in a file, or in the text of a YAML description, with ``sites`` sites in all; see
    ``import_network``. A string that has a line break or a colon followed by a space is text, any other a path."""
    if isinstance(source, str) and ("\n" in source or ": " in source):
        return _described(document.loads(source.encode(), _TEXT), sites, seed).network
    return import_network(Path(source), sites, seed).network


def import_network(path: Path, sites: int | None = None, seed: int = 1) -> Imported:
    """The network in a file: .graphml, .gml, .yaml or .yml, .json; other suffixes are detected by content.

    The file's own sites come first. ``sites`` is the total number; the others are added as in
    ``helsewan.topology.national.attach`` with ``seed``. None means the file's own sites or, if it has none, hospitals,
    services and data centres. Raises ``InputError`` with file, line, reason and hint.
    """
    raw = document.read_bytes(path, MAX_BYTES)
    name = str(path)
    if len(raw) > MAX_BYTES:
        raise InputError(Problem(name, None, f"is larger than {MAX_BYTES} bytes", "export a smaller network"))
    reader = _READERS.get(path.suffix.lower()) or _looks_like(raw)
    if reader is None:
        raise InputError(Problem(name, path.suffix or None, "is of no format that is read", f"read are {FORMATS}"))
    return reader(raw, path, sites, seed)


def _graph(graph: Graph, path: Path, sites: int | None, seed: int) -> Imported:
    if own.is_own(graph):
        return _described(own.description(graph), sites, seed)
    found = zoo.backbone_of(graph)
    network = attach(slug(path.stem) or "network", found.core, seed, sites, found.without_sites)
    return Imported(network, found.remarks)


def _graphml(raw: bytes, path: Path, sites: int | None, seed: int) -> Imported:
    return _graph(graphml.read(raw, str(path)), path, sites, seed)


def _gml(raw: bytes, path: Path, sites: int | None, seed: int) -> Imported:
    return _graph(gml.read(raw, str(path)), path, sites, seed)


def _yaml(raw: bytes, path: Path, sites: int | None, seed: int) -> Imported:
    return _described(document.loads(raw, str(path), MAX_BYTES, MAX_VALUES), sites, seed)


def _described(text: document.Document, sites: int | None, seed: int) -> Imported:
    found = description.read(text)
    if not found.sites:
        return Imported(attach(found.name, found.core, seed, sites), found.remarks)
    network = addressing.assemble(found.name, found.seed, found.core, access.numbered(found.sites))
    return Imported(_filled(network, sites, seed), found.remarks)


def _json(raw: bytes, path: Path, sites: int | None, seed: int) -> Imported:
    network = formats.from_json(raw.decode("utf-8", "replace"), str(path))
    check_size(str(path), len(network.routers), len(network.links))
    return Imported(_filled(network, sites, seed))


def _filled(network: Network, sites: int | None, seed: int) -> Network:
    """The network unchanged, or extended to ``sites`` sites."""
    return network if sites in (None, len(network.sites)) else extend(network, seed, sites)


_Reader = Callable[[bytes, Path, int | None, int], Imported]
_READERS: dict[str, _Reader] = {
    ".graphml": _graphml,
    ".gml": _gml,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
}


def _looks_like(raw: bytes) -> _Reader | None:
    """The reader of a file with an unknown suffix, by its first bytes; None if it looks like no format that is read."""
    start = raw[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return _graphml
    if start.startswith(b"{"):
        return _json
    if re.search(rb"(?:^|\n)\s*graph\s*\[|^\s*graph\s*\[", start) or re.match(
        rb"(?:Creator|Version|directed)\s", start
    ):
        return _gml
    return _yaml if re.search(rb"(?:^|\n)(?:name|seed|operations|pops|links|sites)\s*:", start) else None
