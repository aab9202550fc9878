"""Writes a network as GraphML and GeoJSON, and writes and reads the complete network as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

import networkx as nx
from pydantic import BaseModel, ConfigDict, ValidationError

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.library_words import json_reason
from helsewan.common.schema_errors import explain
from helsewan.topology.address_validation import AddressProblem, address_problems
from helsewan.topology.model import Link, Network, Pop, Router, Site
from helsewan.topology.validation import shared_names, validation_problems

FORMAT = "helsewan-network/1"
_MOST_PROBLEMS = 20  # of addresses in one message


def to_graphml(network: Network) -> str:
    """GraphML (graphml.graphdrawing.org): routers and sites as nodes, links and access links as edges.

    Attribute names contain their units; an edge's ``id`` is the link's, or ``site/router``. networkx may reorder and
    reverse edges: ``index`` preserves the links' order, ``a`` the router where a link begins. The importer restores an
    equal network.
    """
    graph = nx.MultiGraph(name=network.name, seed=network.seed, operations=network.operations)
    for router in network.routers:
        pop = network.pop_of(router.id)
        place = {"region": pop.region.value, "latitude": pop.lat, "longitude": pop.lon}
        graph.add_node(
            router.id, kind="router", label=router.id, pop=pop.id, town=pop.town, index=router.index, **place
        )
    for site in network.sites:
        place = {"region": site.region.value, "latitude": site.lat, "longitude": site.lon}
        about = {"municipality": site.municipality, "tier": site.tier, "tags": ",".join(sorted(site.tags))}
        addresses = {"prefix4": str(site.prefix4), "prefix6": str(site.prefix6)}
        graph.add_node(site.id, kind=site.kind.value, label=site.name, index=site.index, **about, **place, **addresses)
    for index, link in enumerate(network.links, start=1):
        carries = {"rate_bps": link.rate_bps, "delay_us": link.delay_us, "fibre_km": link.fibre_km}
        groups = ",".join(link.srlg)
        graph.add_edge(link.a, link.b, key=link.id, kind="fibre", index=index, a=link.a, srlg=groups, **carries)
    for site in network.sites:
        for number, access in enumerate(site.accesses):
            carries = {"rate_bps": access.rate_bps, "delay_us": access.delay_us, "mtu_bytes": access.mtu_bytes}
            kind = "backup" if number else "primary"
            key = f"{site.id}/{access.router}"
            graph.add_edge(site.id, access.router, key=key, kind=kind, vlan=access.vlan, **carries)
    return "\n".join(nx.generate_graphml(graph, named_key_ids=True)) + "\n"


def to_geojson(network: Network) -> str:
    """GeoJSON (RFC 7946): a Point for every PoP and site, a LineString for every access link and every link between two
    PoPs; ``properties.layer`` distinguishes them."""
    features = [*_points(network), *_lines(network)]
    return _dump({"type": "FeatureCollection", "features": features})


def to_json(network: Network) -> str:
    """The complete network as JSON; ``from_json`` restores an equal one."""
    whole = {"format": FORMAT, **{field.name: getattr(network, field.name) for field in fields(network)}}
    for name, blocks in (("blocks4", network.blocks4), ("blocks6", network.blocks6)):
        whole[name] = [{"zone": zone, "homing": homing, "prefix": prefix} for (zone, homing), prefix in blocks.items()]
    return _dump(whole)


def from_json(text: str, name: str = "network") -> Network:
    """The network that ``to_json`` wrote; ``name`` is the file name in errors. Raises ``InputError``."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(name, None, json_reason(error), "export the network again")) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        given = data.get("format") if isinstance(data, dict) else None
        reason = "is no format of a network in JSON" if given else "is JSON without a format, not a network"
        hint = f"read is what `helsewan topology export --format json` writes ({FORMAT}); GeoJSON is written only"
        raise InputError(Problem(f"{name}: format" if given else name, given, reason, hint))
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        document = Document(name, data)
        raise InputError(*(explain(document, _File, entry) for entry in error.errors(include_url=False))) from None
    blocks4 = {(block.zone, block.homing): block.prefix for block in file.blocks4}
    blocks6 = {(block.zone, block.homing): block.prefix for block in file.blocks6}
    whole = _File.model_fields.keys() - {"format", "blocks4", "blocks6"}
    network = Network(**{field: getattr(file, field) for field in whole}, blocks4=blocks4, blocks6=blocks6)
    if problems := tuple(validation_problems(network, name)):
        raise InputError(*problems)
    if shared := [
        Problem(_line(_site_at(site, text), text, name), site, f"is a {kind}'s name too", "rename one of them")
        for site, kind in shared_names(network)
    ]:
        raise InputError(*shared[:_MOST_PROBLEMS])
    if addressing := tuple(address_problems(network)):
        shown = [_address_problem(each, text, name) for each in addressing[:_MOST_PROBLEMS]]
        if len(addressing) > len(shown):
            shown.append(Problem(name, None, f"has {len(addressing) - len(shown)} problems of addresses more"))
        raise InputError(*shown)
    return network


def _address_problem(problem: AddressProblem, text: str, name: str) -> Problem:
    """A problem at its line of the JSON text: of a site's prefix, or of a zone's or block's."""
    prefix = json.dumps(str(problem.prefix))
    start = _site_at(problem.owner, text) if problem.kind == "site" else 0
    where = _line(max(text.find(prefix, start), start), text, name)
    return Problem(f"{where}: {problem.kind} {problem.owner}", str(problem.prefix), problem.reason, problem.hint)


def _site_at(site: str, text: str) -> int:
    """Where a site's id is in the JSON text; 0 if it is not found."""
    sites = re.search(r'"sites"\s*:', text)
    found = re.compile(rf'"id"\s*:\s*{re.escape(json.dumps(site))}').search(text, sites.end() if sites else 0)
    return found.start() if found else 0


def _line(at: int, text: str, name: str) -> str:
    """The place of an offset of the JSON text, by file name and line."""
    number = text.count("\n", 0, at) + 1
    return f"{name}:{number}" if "\n" in text.strip() else name  # in a dump of rules, the name has the line


class _Block(BaseModel):
    zone: str
    homing: tuple[str, ...]


class _Block4(_Block):
    """An entry of ``blocks4``."""

    prefix: IPv4Network


class _Block6(_Block):
    """An entry of ``blocks6``."""

    prefix: IPv6Network


class _File(BaseModel):
    """The JSON file's schema: ``Network`` with a format name, and the blocks as lists. Without ``blocks6``, as in older
    files, each site has its own IPv6 route."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["helsewan-network/1"]
    name: str
    seed: int
    pops: tuple[Pop, ...]
    routers: tuple[Router, ...]
    links: tuple[Link, ...]
    sites: tuple[Site, ...]
    zones4: dict[str, IPv4Network]
    zones6: dict[str, IPv6Network]
    blocks4: tuple[_Block4, ...]
    blocks6: tuple[_Block6, ...] = ()
    operations: str = ""


def _points(network: Network) -> Iterator[dict[str, Any]]:
    for pop in network.pops:
        about = {"name": pop.town, "region": pop.region, "routers": pop.routers}
        yield _feature("Point", [pop.lon, pop.lat], "pop", pop.id, about)
    for site in network.sites:
        about = {"name": site.name, "kind": site.kind, "region": site.region, "tier": site.tier}
        about |= {"municipality": site.municipality, "prefix4": str(site.prefix4), "prefix6": str(site.prefix6)}
        yield _feature("Point", [site.lon, site.lat], "site", site.id, about)


def _lines(network: Network) -> Iterator[dict[str, Any]]:
    for link in network.links:
        a, b = network.pop_of(link.a), network.pop_of(link.b)
        if a is not b:
            about = {"rate_bps": link.rate_bps, "delay_us": link.delay_us, "fibre_km": link.fibre_km, "srlg": link.srlg}
            yield _feature("LineString", [[a.lon, a.lat], [b.lon, b.lat]], "link", link.id, about)
    for site in network.sites:
        for number, access in enumerate(site.accesses):
            pop = network.pop_of(access.router)
            about = {"rate_bps": access.rate_bps, "delay_us": access.delay_us, "backup": number > 0}
            line = [[site.lon, site.lat], [pop.lon, pop.lat]]
            yield _feature("LineString", line, "access", f"{site.id}/{access.router}", about)


def _feature(shape: str, coordinates: Any, layer: str, id_: str, about: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": shape, "coordinates": coordinates}
    return {"type": "Feature", "id": id_, "geometry": geometry, "properties": {"layer": layer, **about}}


def _dump(value: object) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=1) + "\n"


def _plain(value: Any) -> object:
    """Convert values that json cannot serialize: dataclasses, frozensets, addresses."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return sorted(value) if isinstance(value, frozenset) else str(value)
