"""Reference data of ``topology/data``, read once: towns, links, hospitals, municipalities, services."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from helsewan.common import document
from helsewan.common.units import parse_rate_bps
from helsewan.topology.model import Region


@dataclass(frozen=True, slots=True)
class _Locality:
    """A town or municipality, with the coordinates of its centre."""

    id: str
    name: str
    region: Region
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Town(_Locality):
    """A town with a PoP; ``routers`` is the number of routers there."""

    routers: int


@dataclass(frozen=True, slots=True)
class TownLink:
    """A link between two towns (ids ``a`` and ``b``)."""

    id: str
    a: str
    b: str
    fibre_km: float
    rate_bps: int
    srlg: str


@dataclass(frozen=True, slots=True)
class Detour:
    """The optional link between two towns via a place abroad at ``lat``, ``lon``; ``routing_factor`` is the ratio of
    fibre length to great-circle distance."""

    a: str
    b: str
    lat: float
    lon: float
    routing_factor: float
    rate_bps: int


@dataclass(frozen=True, slots=True)
class Hospital:
    """A somatic hospital of 2006; ``trust`` is the slug of its health trust, ``via`` the id of the PoP that a sea cable
    connects it to, or empty."""

    id: str
    name: str
    municipality: str
    trust: str
    region: Region
    lat: float
    lon: float
    tier: str
    via: str


@dataclass(frozen=True, slots=True)
class Municipality(_Locality):
    """A municipality; coordinates are those of its administrative centre."""

    population: int


@dataclass(frozen=True, slots=True)
class Facility:
    """A national service or a regional data centre, located in the town of PoP ``pop``."""

    id: str
    name: str
    pop: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class ReferenceData:
    """Everything in ``data/``."""

    fibre_us_per_km: float
    interconnect_km: float
    interconnect_bps: int
    towns: tuple[Town, ...]
    links: tuple[TownLink, ...]
    swedish_route: Detour
    operations: str
    hospitals: tuple[Hospital, ...]
    municipalities: tuple[Municipality, ...]
    facility_bps: int
    services: tuple[Facility, ...]
    datacentres: tuple[Facility, ...]


@lru_cache(maxsize=1)
def reference_data() -> ReferenceData:
    """The packaged data; read from disk once per process."""
    backbone, facilities = _yaml("backbone.yaml"), _yaml("services.yaml")
    rates = {tier: parse_rate_bps(rate) for tier, rate in backbone["tiers"].items()}
    return ReferenceData(
        fibre_us_per_km=backbone["fibre_us_per_km"],
        interconnect_km=float(backbone["interconnect"]["length_km"]),
        interconnect_bps=parse_rate_bps(backbone["interconnect"]["rate"]),
        towns=tuple(
            Town(pop["id"], pop["town"], Region(pop["region"]), float(pop["lat"]), float(pop["lon"]), pop["routers"])
            for pop in backbone["pops"]
        ),
        links=tuple(
            TownLink(link["id"], link["a"], link["b"], float(link["fibre_km"]), rates[link["tier"]], link["srlg"])
            for link in backbone["links"]
        ),
        swedish_route=_detour(backbone["swedish_route"], rates),
        operations=backbone["operations"],
        hospitals=tuple(
            Hospital(
                row["id"],
                row["name"],
                row["municipality"],
                row["trust"],
                Region(row["region"]),
                float(row["lat"]),
                float(row["lon"]),
                row["tier"],
                row["via"],
            )
            for row in _csv("hospitals.csv")
        ),
        municipalities=tuple(
            Municipality(
                row["id"],
                row["name"],
                Region(row["region"]),
                float(row["lat"]),
                float(row["lon"]),
                int(row["population"]),
            )
            for row in _csv("municipalities.csv")
        ),
        facility_bps=parse_rate_bps(facilities["access_rate"]),
        services=tuple(map(_facility, facilities["services"])),
        datacentres=tuple(map(_facility, facilities["datacentres"])),
    )


def _detour(entry: Mapping[str, Any], rates: Mapping[str, int]) -> Detour:
    via = entry["via"]
    return Detour(entry["a"], entry["b"], via["lat"], via["lon"], entry["routing_factor"], rates[entry["tier"]])


def _facility(entry: Mapping[str, Any]) -> Facility:
    return Facility(entry["id"], entry["name"], entry["pop"], frozenset(entry.get("tags", ())))


def _yaml(name: str) -> Any:
    return document.loads((files("helsewan.topology") / "data" / name).read_bytes(), name).data


def _csv(name: str) -> list[dict[str, str]]:
    text = (files("helsewan.topology") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
