"""Network descriptions in YAML: PoPs, links and optional sites. Strict schema, with an error for each invalid line.

``docs/topologies.md`` has an example. Defaults: a PoP without ``routers`` has one router of the same name; delays
follow from fibre lengths; without ``sites`` the importer adds them; without regions it partitions the backbone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import networkx as nx
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest, validate
from helsewan.common.units import (
    UnitError,
    format_duration,
    format_rate,
    parse_duration_us,
    parse_rate_bps,
    parse_size_bytes,
)
from helsewan.common.yaml_tree import Path
from helsewan.common.yaml_writer import to_yaml
from helsewan.topology.construction import access, addressing
from helsewan.topology.construction.backbone import Backbone, check_size
from helsewan.topology.construction.naming import is_name, unprintable
from helsewan.topology.construction.partition import REGIONS_REMARK, regional
from helsewan.topology.model import (
    MOST_BPS,
    MOST_DELAY_US,
    MOST_SEED,
    SITE_MTU,
    AccessLink,
    Kind,
    Link,
    Network,
    Pop,
    Region,
    Router,
    Site,
)
from helsewan.topology.national.reference_data import reference_data

MAX_ACCESS_LINKS = 2  # per site: a primary and a backup
LEAST_MTU = 1280  # the minimum MTU of links that carry IPv6 (RFC 8200, 5)


def _plain_name(value: str) -> str:
    if not is_name(value):
        raise UnitError("is no name", "use at most 100 letters, digits, dots, dashes and underscores")
    return value


def _possible(rate_bps: int) -> int:
    if not 1 <= rate_bps <= MOST_BPS:
        raise UnitError("is no rate of a link", f"write 1 bit/s to {format_rate(MOST_BPS)}")
    return rate_bps


def _carries_ip(mtu_bytes: int) -> int:
    """Validate an access link's MTU."""
    if not LEAST_MTU <= mtu_bytes <= SITE_MTU:
        too_small = "is less than IPv6 needs of every link (RFC 8200, 5)"
        reason = too_small if mtu_bytes < LEAST_MTU else "is more than an access link takes"
        raise UnitError(reason, f"write {LEAST_MTU} B to {SITE_MTU} B")
    return mtu_bytes


def _printable(text: str) -> str:
    if unprintable(text):
        raise UnitError("has characters that cannot be printed", "leave out control characters and line breaks")
    return text.strip()


def _tag(text: str) -> str:
    if not text.strip() or "," in text:
        raise UnitError("is no tag", "write some text without a comma")
    return _printable(text)


Name = Annotated[str, AfterValidator(_plain_name)]
Text = Annotated[str, AfterValidator(_printable)]
Tag = Annotated[str, AfterValidator(_tag)]
Rate = Annotated[int, BeforeValidator(parse_rate_bps), AfterValidator(_possible)]
Delay = Annotated[int, BeforeValidator(parse_duration_us), Field(le=MOST_DELAY_US)]
Mtu = Annotated[int, BeforeValidator(parse_size_bytes), AfterValidator(_carries_ip)]
Degrees = Annotated[float, Field(allow_inf_nan=False)]
Km = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PopSpec(_Strict):
    """A town with its routers."""

    town: Text = ""
    """the town's name; the PoP's id where left out"""
    region: Region | None = None
    """its health region; either every PoP names one, or none"""
    lat: Annotated[Degrees, Field(ge=-90, le=90)]
    """degrees north"""
    lon: Annotated[Degrees, Field(ge=-180, le=180)]
    """degrees east"""
    routers: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """router names; one, named as the PoP, where left out"""


class _LinkBase(_Strict):
    """A link or access link with a delay, a fibre length, or both."""

    delay: Delay | None = None
    """one-way delay"""
    km: Km | None = None
    """length of the fibre"""

    @model_validator(mode="after")
    def _has_delay_or_km(self) -> _LinkBase:
        if self.delay is None and self.km is None:
            raise UnitError("has neither delay nor km", "add delay: 2 ms, or km: 400")
        return self

    @property
    def delay_us(self) -> int:
        """The given delay, or that of the given length."""
        return round((self.km or 0) * reference_data().fibre_us_per_km) if self.delay is None else self.delay

    @property
    def fibre_km(self) -> float:
        """The given length, or that of the given delay."""
        return round(self.delay_us / reference_data().fibre_us_per_km, 1) if self.km is None else self.km


class LinkSpec(_LinkBase):
    """A link between two routers."""

    a: Name
    """a router"""
    b: Name
    """the router at the other end"""
    rate: Rate
    """in each direction"""
    srlg: tuple[Tag, ...] = ()
    """shared-risk groups: links that fail together have one in common"""


class AccessLinkSpec(_LinkBase):
    """A site's access link."""

    router: Name
    """the router it leads to"""
    rate: Rate
    """in each direction"""
    mtu: Mtu = SITE_MTU
    """the longest IP packet it carries, 1280 B to 1500 B"""


class SiteSpec(_Strict):
    """A site and its access links, the primary first."""

    name: Text = ""
    """its name for display; its id where left out"""
    kind: Kind
    """hospital, gp, pharmacy, municipality, service or datacentre"""
    region: Region | None = None
    """its health region; that of its primary access link's PoP where left out"""
    lat: Annotated[Degrees, Field(ge=-90, le=90)] | None = None
    """degrees north; those of the PoP where left out"""
    lon: Annotated[Degrees, Field(ge=-180, le=180)] | None = None
    """degrees east; those of the PoP where left out"""
    municipality: Text = ""
    """its municipality; the PoP's town where left out"""
    tier: Text = ""
    """a hospital's tier"""
    tags: tuple[Tag, ...] = ()
    """tags by which policies select sites"""
    lines: Annotated[tuple[AccessLinkSpec, ...], Field(min_length=1, max_length=MAX_ACCESS_LINKS)]
    """its access links"""


class NetworkDescription(_Strict):
    """A network description."""

    name: Name
    """the network's name"""
    seed: Annotated[int, Field(strict=True, ge=0, le=MOST_SEED)] = 1
    """the seed that it was generated with"""
    operations: Name | None = None
    """the PoP of the operations centre; the first where left out"""
    pops: Annotated[dict[Name, PopSpec], Field(min_length=1)]
    """PoPs by name"""
    links: dict[Name, LinkSpec] = {}
    """links by name"""
    sites: dict[Name, SiteSpec] = {}
    """sites by name"""


@dataclass(frozen=True)
class Described:
    """A network read from a description, with regions assigned; access links have no VLANs yet."""

    name: str
    seed: int
    core: Backbone
    sites: tuple[Site, ...]
    remarks: tuple[str, ...]


def read(document: Document) -> Described:
    """The network that a document describes. Raises ``InputError`` with all problems of the first pass (schema, names,
    size) that finds any."""
    spec = validate(document, NetworkDescription)
    problems = tuple(_problems(spec, document))
    if problems:
        raise InputError(*problems)
    core = _core(spec)
    check_size(document.name, len(core.routers), len(core.links))
    unregioned = not any(pop.region for pop in spec.pops.values())
    core, remarks = (regional(core), (REGIONS_REMARK,)) if unregioned else (core, ())
    home = {router.id: pop for pop in core.pops for router in core.routers if router.pop == pop.id}
    sites = (_site(id_, site, index, home) for index, (id_, site) in enumerate(spec.sites.items(), start=1))
    return Described(spec.name, spec.seed, core, tuple(sites), remarks)


def write(network: Network) -> str:
    """``network`` as a description; ``read`` restores equal PoPs, routers, links and sites."""
    whole = {
        "name": network.name,
        "seed": network.seed,
        **({"operations": network.operations} if network.operations else {}),
        "pops": {
            pop.id: {
                "town": pop.town,
                "region": pop.region.value,
                "lat": pop.lat,
                "lon": pop.lon,
                "routers": list(pop.routers),
            }
            for pop in network.pops
        },
        "links": {
            link.id: {
                "a": link.a,
                "b": link.b,
                "rate": format_rate(link.rate_bps),
                "delay": format_duration(link.delay_us),
                "km": link.fibre_km,
            }
            | ({"srlg": list(link.srlg)} if link.srlg else {})
            for link in network.links
        },
        "sites": {site.id: _written(site) for site in network.sites},
    }
    return to_yaml(whole)


def _written(site: Site) -> dict[str, Any]:
    lines = [
        {"router": line.router, "rate": format_rate(line.rate_bps), "delay": format_duration(line.delay_us)}
        | ({"mtu": f"{line.mtu_bytes} B"} if line.mtu_bytes < SITE_MTU else {})
        for line in site.accesses
    ]
    about = {"name": site.name, "kind": site.kind.value, "region": site.region.value, "lat": site.lat, "lon": site.lon}
    optional = {"municipality": site.municipality, "tier": site.tier, "tags": sorted(site.tags)}
    return about | {key: value for key, value in optional.items() if value} | {"lines": lines}


def _core(spec: NetworkDescription) -> Backbone:
    pops = tuple(
        Pop(id_, pop.town or id_, pop.region or Region.SOR, pop.lat, pop.lon, pop.routers or (id_,))
        for id_, pop in spec.pops.items()
    )
    names = [(router, pop.id) for pop in pops for router in pop.routers]
    routers = tuple(Router(router, pop, index) for index, (router, pop) in enumerate(names, start=1))
    links = tuple(
        Link(id_, link.a, link.b, link.rate, link.delay_us, link.fibre_km, link.srlg)
        for id_, link in spec.links.items()
    )
    return Backbone(pops, routers, links, spec.operations or "")


def _site(id_: str, spec: SiteSpec, index: int, home: dict[str, Pop]) -> Site:
    pop = home[spec.lines[0].router]
    lines = (AccessLink(line.router, access.UNNUMBERED, line.rate, line.delay_us, line.mtu) for line in spec.lines)
    return Site(
        id=id_,
        name=spec.name or id_,
        kind=spec.kind,
        region=spec.region or pop.region,
        lat=pop.lat if spec.lat is None else spec.lat,
        lon=pop.lon if spec.lon is None else spec.lon,
        municipality=spec.municipality or pop.town,
        index=index,
        accesses=tuple(lines),
        prefix4=addressing.UNASSIGNED4,
        prefix6=addressing.UNASSIGNED6,
        tier=spec.tier,
        tags=frozenset(spec.tags),
    )


def _problems(spec: NetworkDescription, document: Document) -> Iterator[Problem]:
    """Ambiguous and unknown names, loops, disconnected routers, and regions given for only some PoPs."""
    owner: dict[str, str] = {}
    if spec.operations is not None and spec.operations not in spec.pops:
        hint = nearest(spec.operations, spec.pops)
        yield Problem(document.where(("operations",)), spec.operations, "is no PoP of this network", hint)
    for id_, pop in spec.pops.items():
        for router in pop.routers or (id_,):
            if owner.setdefault(router, id_) != id_ or (pop.routers or (id_,)).count(router) > 1:
                hint = "name a router in one PoP, once"
                yield Problem(document.where(("pops", id_, "routers")), router, f"is a router of {owner[router]}", hint)
    ends: list[tuple[Path, str]] = [
        (("links", id_, end), getattr(link, end)) for id_, link in spec.links.items() for end in ("a", "b")
    ]
    for id_, site in spec.sites.items():
        ends += [(("sites", id_, "lines", i, "router"), line.router) for i, line in enumerate(site.lines)]
        if len({line.router for line in site.lines}) < len(site.lines):
            hint = "use two routers, or one access link"
            yield Problem(document.where(("sites", id_, "lines")), None, "lead to one router", hint)
        if id_ in owner:
            yield Problem(document.where(("sites", id_)), id_, "is a router's name too", "rename one of them")
        elif id_ in spec.pops:
            yield Problem(document.where(("sites", id_)), id_, "is a PoP's name too", "rename one of them")
    for path, router in ends:
        if router not in owner:
            yield Problem(document.where(path), router, "is no router of this network", nearest(router, owner))
    if {end for link in spec.links.values() for end in (link.a, link.b)} <= owner.keys():
        yield from _unreachable(spec, owner, document)
    for id_, link in spec.links.items():
        if link.a == link.b:
            yield Problem(document.where(("links", id_)), id_, "joins a router to itself", "name two routers")
    nowhere = [id_ for id_, pop in spec.pops.items() if pop.region is None]
    if 0 < len(nowhere) < len(spec.pops):
        for id_ in nowhere:
            hint = "others name theirs; name all regions, or none"
            yield Problem(document.where(("pops", id_, "region")), None, "is missing", hint)


def _unreachable(spec: NetworkDescription, routers: Iterable[str], document: Document) -> Iterator[Problem]:
    """Routers without a path to the first one."""
    graph = nx.Graph()
    graph.add_nodes_from(routers)
    graph.add_edges_from((link.a, link.b) for link in spec.links.values())
    first = next(iter(graph))
    for router in graph.nodes - nx.node_connected_component(graph, first):
        yield Problem(document.where(("links",)), router, f"has no path to {first}", "add a link, or remove the router")
