"""Converts a graph of the Internet Topology Zoo (topology-zoo.org) to a backbone, with defaults for missing data.

A node is a PoP with one router. The attributes are the Zoo's, case-insensitive: ``label``, ``Latitude``, ``Longitude``,
``Internal`` (0: of another network), ``hyperedge`` (1: a junction, kept as a router without sites), and for links
``LinkSpeedRaw``, ``LinkSpeed`` with ``LinkSpeedUnits``, ``LinkLabel``, ``LinkType``, ``LinkNote``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite

import networkx as nx

from helsewan.common.errors import InputError, Problem
from helsewan.common.units import format_duration
from helsewan.topology.construction.access import ROUTING_FACTOR
from helsewan.topology.construction.backbone import Backbone, check_size
from helsewan.topology.construction.geo import great_circle_km
from helsewan.topology.construction.naming import NameBook, slug
from helsewan.topology.construction.partition import REGIONS_REMARK, regional
from helsewan.topology.importers.link_rates import USED, LinkRates, link_rates
from helsewan.topology.importers.places import Places, Point, place
from helsewan.topology.importers.raw import Attributes, Edge, Graph, Node
from helsewan.topology.model import Kind, Link, Pop, Region, Router
from helsewan.topology.national.reference_data import reference_data

MAX_LABEL = 100  # characters of a label that are kept
DEFAULT_DELAY_US = 1_000  # [A] about 150 km
_UNKNOWN = frozenset({"", "none", "nan", "null", "n/a", "?", "unknown", "unnamed"})
_COORDINATES = ((("latitude", "lat"), 90), (("longitude", "lon", "lng"), 180))
_USED_BY_NODES = frozenset(
    {"id", "label", "internal", "hyperedge", *(name for names, _ in _COORDINATES for name in names)}
)
_USED_BY_EDGES = USED | {"id", "key", "source", "target"}
_MOST_NAMED = 10  # attributes in a remark
_KINDS = tuple(f"{kind.value}-" for kind in Kind)  # prefixes of site ids


@dataclass(frozen=True)
class ImportedBackbone:
    """The backbone of a graph. PoPs in ``without_sites`` get no sites; ``remarks``: what was left out or assumed."""

    core: Backbone
    without_sites: frozenset[str]
    remarks: tuple[str, ...]


def backbone_of(graph: Graph) -> ImportedBackbone:
    """The largest connected part of ``graph`` as a backbone. Raises ``InputError`` for invalid values."""
    nodes = {node.id: {key.lower(): value for key, value in node.attributes.items()} for node in graph.nodes}
    own, joined, edges, left_out = _kept(graph, nodes)
    check_size(graph.name, len(own), len(edges))
    known = _known_points(graph, own, nodes)
    places = place(joined, known)
    rates = link_rates(graph, edges)
    pops = _pops(own, nodes, places)
    links = _links(edges, pops, places, rates.bps)
    routers = tuple(Router(pop.id, pop.id, index) for index, pop in enumerate(pops.values(), start=1))
    core = regional(Backbone(tuple(pops.values()), routers, links))
    without_sites = frozenset(pops[node.id].id for node in own if nodes[node.id].get("hyperedge") == "1")
    remarks = [*left_out, *_unused(own, edges), *_assumed(places, rates, edges, len(without_sites))]
    return ImportedBackbone(core, without_sites, tuple(remarks))


def _kept(graph: Graph, nodes: Mapping[str, Attributes]) -> tuple[list[Node], nx.Graph, list[Edge], list[str]]:
    """Nodes, graph and edges of the largest connected part without external nodes, and remarks on the rest."""
    external = {id_ for id_, about in nodes.items() if about.get("internal", "").lower() in ("0", "0.0", "false")}
    loops = [edge for edge in graph.edges if edge.source == edge.target]
    edges = [edge for edge in graph.edges if edge.source != edge.target and not external & {edge.source, edge.target}]
    folded = _one_way(edges) if graph.directed else edges
    whole = nx.Graph()
    whole.add_nodes_from(node.id for node in graph.nodes if node.id not in external)
    whole.add_edges_from((edge.source, edge.target) for edge in folded)
    if not whole:
        reason, hint = "has no node of its own", "all are marked Internal=0, part of another network"
        raise InputError(Problem(graph.name, None, reason, hint))
    largest = max(nx.connected_components(whole), key=len)  # of equal sizes, the one whose first node comes first
    joined = whole.subgraph(largest)
    kept = [edge for edge in folded if edge.source in largest]
    lost = len(whole) - len(largest)
    parts = nx.number_connected_components(whole) - 1
    remarks = [
        (len(external), f"{_count(len(external), 'external node')} (Internal=0) and the edges there"),
        (lost, f"{_count(lost, 'node')} in {_count(parts, 'part')} without a path to the largest part"),
        (len(loops), f"{_count(len(loops), 'edge')} from a node to itself"),
        (
            len(edges) - len(folded),
            f"{_count(len(edges) - len(folded), 'edge')} back along another: links go both ways",
        ),
    ]
    own = [node for node in graph.nodes if node.id in largest]
    return own, joined, kept, [f"left out: {text}" for number, text in remarks if number]


def _one_way(edges: Sequence[Edge]) -> list[Edge]:
    """A directed graph's edges without the reverse edges of earlier ones."""
    waiting: Counter[tuple[str, str]] = Counter()
    kept = []
    for edge in edges:
        back = edge.target, edge.source
        if waiting[back]:
            waiting[back] -= 1
        else:
            waiting[edge.source, edge.target] += 1
            kept.append(edge)
    return kept


def _known_points(graph: Graph, own: Sequence[Node], nodes: Mapping[str, Attributes]) -> dict[str, Point]:
    """The points that the file gives. Raises ``InputError`` for coordinates out of range."""
    points: dict[str, Point] = {}
    problems: list[Problem] = []
    for node in own:
        found = []
        for names, most in _COORDINATES:
            text = next((nodes[node.id][name] for name in names if name in nodes[node.id]), "").strip()
            if text.lower() in _UNKNOWN:
                continue
            degrees = _number(text)
            if degrees is None or abs(degrees) > most:
                where = f"{graph.where(node.line)}: node {node.id}: {names[0]}"
                problems.append(Problem(where, text, "is no valid coordinate", f"write degrees from -{most} to {most}"))
            else:
                found.append(degrees)
        if len(found) == 2:
            points[node.id] = found[0], found[1]
    if problems:
        raise InputError(*problems)
    return points


def _number(text: str) -> float | None:
    """The finite number in ``text``, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _pops(own: Sequence[Node], nodes: Mapping[str, Attributes], places: Places) -> dict[str, Pop]:
    """PoPs by node id, named after their labels; their region is a placeholder."""
    names = NameBook()
    pops: dict[str, Pop] = {}
    for node in own:
        printable = filter(str.isprintable, " ".join(nodes[node.id].get("label", "").split()))
        label = "".join(islice(printable, MAX_LABEL)).strip()
        label = "" if label.lower() in _UNKNOWN else label  # the Zoo writes None for a node without a name
        number = slug(node.id)
        name = slug(label) or (number if number[:1].isalpha() else f"node-{number}".rstrip("-"))
        id_ = names.name(f"pop-{name}" if name.startswith(_KINDS) else name)
        lat, lon = places.points[node.id]
        pops[node.id] = Pop(id_, label or id_, Region.SOR, lat, lon, (id_,))
    return pops


def _links(edges: Sequence[Edge], pops: dict[str, Pop], places: Places, rates: Sequence[int]) -> tuple[Link, ...]:
    """A link for each edge, including parallel ones; delay by great circle, or the default if a place is vague."""
    names = NameBook()
    us_per_km, least_km = reference_data().fibre_us_per_km, reference_data().interconnect_km
    links = []
    for edge, rate in zip(edges, rates, strict=True):
        a, b = pops[edge.source], pops[edge.target]
        if places.vague & {edge.source, edge.target}:
            delay_us, km = DEFAULT_DELAY_US, DEFAULT_DELAY_US / us_per_km
        else:
            km = max(least_km, great_circle_km(a.lat, a.lon, b.lat, b.lon) * ROUTING_FACTOR)
            delay_us = round(km * us_per_km)
        id_ = names.name(f"{a.id}-{b.id}")
        links.append(Link(id_, a.id, b.id, rate, delay_us, round(km, 1)))
    return tuple(links)


def _unused(own: Sequence[Node], edges: Sequence[Edge]) -> list[str]:
    """A remark on attributes with values that have no meaning here, such as the state of a link."""
    owners: tuple[tuple[str, Sequence[Node | Edge], frozenset[str]], ...] = (
        ("nodes", own, _USED_BY_NODES),
        ("edges", edges, _USED_BY_EDGES),
    )
    found = []
    for what, parts, used in owners:
        given = (key for part in parts for key, value in part.attributes.items() if value.strip())
        names = [key for key in dict.fromkeys(given) if key.lower() not in used]
        more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
        if names:
            printable = ("".join(filter(str.isprintable, name))[:MAX_LABEL] for name in names[:_MOST_NAMED])
            found.append(f"{', '.join([*printable, *more])} of {what}")
    return [f"left out: attributes that have no meaning here: {'; '.join(found)}"] if found else []


def _assumed(places: Places, rates: LinkRates, edges: Sequence[Edge], junctions: int) -> list[str]:
    """Remarks on values that the file does not give."""
    vague = sum(bool(places.vague & {edge.source, edge.target}) for edge in edges)
    of_all = f"of {_count(len(edges), 'link')}"
    known = len(edges) - vague
    fibre = f"great circle x {ROUTING_FACTOR} x {reference_data().fibre_us_per_km} us/km"
    delay = format_duration(DEFAULT_DELAY_US)
    remarks = [
        (known, f"the delay of {known} {of_all}: {fibre}"),
        (vague, f"{delay} for {vague} {of_all}: the coordinates of an end are unknown"),
        *((1, remark) for remark in rates.remarks),
        (len(places.guessed), f"the coordinates of {_count(len(places.guessed), 'PoP')}: between the neighbours"),
        (junctions, f"{_count(junctions, 'junction')} (hyperedge=1): routers without sites"),
    ]
    return [*(f"assumed: {text}" for number, text in remarks if number), REGIONS_REMARK]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
