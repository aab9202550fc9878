"""Schema of captures that are replayed. What is in the files is checked by ``traffic.replay``."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from helsewan.common.units import UnitError
from helsewan.lab.flows.replay_plan import ReplayMode
from helsewan.policies.language.schema import Duration, Rate, Selector, Some
from helsewan.scenarios.spec.values import Strict
from helsewan.topology.model import Kind, Region

MOST_LOOPS = 100_000


class AutoMap(str, Enum):
    """How the addresses of a capture are mapped to sites where a scenario does not say it."""

    AUTO = "auto"  # by what they do and how much they send
    SAME = "same"  # to the sites of this network that have them: the capture is of this network


def _prefix(text: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(text))
    except ValueError as error:
        raise UnitError(f"is no prefix: {error}", "write for example 10.1.0.0/16, or an address") from None


CapturePrefix = Annotated[IPv4Network | IPv6Network, BeforeValidator(_prefix)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _one_or_several(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]})


def _values(kind: type[Enum]) -> dict[str, Any]:
    return {"type": "string", "enum": [member.value for member in kind]}


_TEXT = {"type": "string", "minLength": 1}
Texts = Annotated[Some[str], BeforeValidator(_listed), _one_or_several(_TEXT)]


Files = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_listed),
    Field(min_length=1, max_length=100),
    _one_or_several(_TEXT),
]


class CaptureSites(Selector):
    """Sites, as policies select them; one value of a key may stand without a list."""

    kind: Annotated[Some[Kind], BeforeValidator(_listed), _one_or_several(_values(Kind))] = ()
    region: Annotated[Some[Region], BeforeValidator(_listed), _one_or_several(_values(Region))] = ()
    tier: Texts = ()
    tags: Texts = ()
    site: Texts = ()


def _form_of_map(value: object) -> str:
    return "prefixes" if isinstance(value, dict) else "name"


Map = Annotated[
    Annotated[dict[CapturePrefix, CaptureSites], Tag("prefixes")] | Annotated[AutoMap, Tag("name")],
    Discriminator(_form_of_map),
]


class ReplaySpec(Strict):
    """Captures (``file``: one or several, relative to the scenario's file) that are sent again between sites.

    ``map`` says which addresses of the capture are which sites. Packets keep their times, divided by ``speed``, or are
    sent at ``rate``; ``loops`` times, from ``start`` on."""

    kind: Literal["replay"]
    file: Files
    mode: ReplayMode = ReplayMode.WIRE
    map: Map = AutoMap.AUTO
    speed: Annotated[float, Field(gt=0, le=1000)] | None = None
    rate: Annotated[Rate, Field(ge=1_000, le=10**10)] | None = None
    loops: Annotated[int, Field(strict=True, ge=1, le=MOST_LOOPS)] = 1
    start: Annotated[Duration, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_pace(self) -> Self:
        if self.speed is not None and self.rate is not None:
            raise UnitError("has two paces", "give either speed or rate")
        if not isinstance(self.map, AutoMap) and not self.map:
            raise UnitError("maps nothing", "name a prefix of the capture and its sites, or write map: auto")
        return self
