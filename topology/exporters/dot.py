"""A network as a drawing in DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from helsewan.common.units import format_duration, format_rate
from helsewan.topology.model import Network

_SHAPES = {"hospital": "house", "service": "hexagon", "datacentre": "box3d"}  # the others are ellipses


def to_dot(network: Network) -> str:
    """DOT (graphviz.org/doc/info/lang.html) for ``neato``: routers and sites at their map positions, routers in a
    cluster for each region; links labelled with rate and delay, access links grey, backups dashed."""
    return "\n".join(_lines(network)) + "\n"


def _lines(network: Network) -> Iterator[str]:
    yield f"graph {_quoted(network.name)} {{"
    yield "  graph [overlap=false, splines=true, outputorder=edgesfirst];"
    yield "  node [fontsize=10, style=filled, fillcolor=white];"
    pops = sorted(network.pops, key=lambda pop: pop.region.value)
    for region, members in groupby(pops, key=lambda pop: pop.region):
        yield f"  subgraph {_quoted('cluster_' + region.value)} {{ label={_quoted(region.label)};"
        for pop in members:
            for number, router in enumerate(pop.routers):
                about = {"label": router, "shape": "box", "pos": _position(pop.lat, pop.lon + number * 0.1)}
                yield f"    {_quoted(router)} {_attributes(about)};"
        yield "  }"
    for site in network.sites:
        shape = _SHAPES.get(site.kind.value, "ellipse")
        about = {"label": site.name, "shape": shape, "fontsize": "8", "pos": _position(site.lat, site.lon)}
        yield f"  {_quoted(site.id)} {_attributes(about)};"
    for link in network.links:
        label = f"{format_rate(link.rate_bps)}, {format_duration(link.delay_us)}"
        yield f"  {_quoted(link.a)} -- {_quoted(link.b)} {_attributes({'label': label, 'id': link.id})};"
    for site in network.sites:
        for number, line in enumerate(site.accesses):
            about = {"color": "grey", "style": "dashed" if number else "solid"}
            yield f"  {_quoted(site.id)} -- {_quoted(line.router)} {_attributes(about)};"
    yield "}"


def _position(lat: float, lon: float) -> str:
    """A fixed position in inches; at 60 degrees north a degree of longitude is half as wide as one of latitude."""
    return f"{lon / 2:.3f},{lat:.3f}!"


def _attributes(about: dict[str, str]) -> str:
    return "[" + ", ".join(f"{key}={_quoted(value)}" for key, value in about.items()) + "]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
