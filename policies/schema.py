"""What one policy file may say, key by key. Unknown keys and wrong types are refused.

Quantities carry units in the file and become integers here (``20 ms`` -> 20000 us). What depends on
several entries, or on a network, is judged by the compile passes.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from policies.dscp import parse_dscp
from policies.plan import Protocol, Scheduling
from policies.ports import PortRange, parse_ports
from topology.model import Kind, Region
from topology.units import parse_duration_us, parse_rate_bps, parse_share

QUEUES = 8  # per link: the MPLS traffic class tells eight apart (RFC 5462)


def _quantity(example: str, description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example], "description": description})


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=60)]
RouteTarget = Annotated[str, Field(pattern=r"^\S+$", max_length=60)]
Duration = Annotated[int, BeforeValidator(parse_duration_us), _quantity("20 ms", "a duration with its unit")]
Rate = Annotated[int, BeforeValidator(parse_rate_bps), _quantity("2 Mbit/s", "a rate with its unit")]
Share = Annotated[float, BeforeValidator(parse_share), _quantity("30 %", "a percentage")]
Dscp = Annotated[
    int,
    BeforeValidator(parse_dscp),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["EF", "AF41", 0]}),
]
Ports = Annotated[
    PortRange,
    BeforeValidator(parse_ports),
    WithJsonSchema({"type": ["string", "integer"], "examples": [2575, "16384-16639"]}),
]


class ProtocolName(str, Enum):
    """The transport protocols a service can have."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"

    @property
    def number(self) -> Protocol:
        """Its IP protocol number."""
        return Protocol[self.name]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Targets(_Strict):
    """What a class promises from site to site; packets beyond ``delay`` or ``loss`` break it."""

    delay: Duration
    jitter: Duration
    loss: Share


class PoliceStep(_Strict):
    """The policed share of access lines up to rate ``up_to``; the last step has none and takes the rest."""

    up_to: Rate | None = None
    share: Share

    def covers(self, rate_bps: int) -> bool:
        """Whether a line of ``rate_bps`` is within this step."""
        return self.up_to is None or rate_bps <= self.up_to


class ClassSpec(_Strict):
    """A class of service: its queue, code points, share of lines and targets."""

    queue: Annotated[int, Field(strict=True)]
    dscps: Annotated[tuple[Dscp, ...], Field(min_length=1)]
    scheduling: Scheduling
    weight: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    police: tuple[PoliceStep, ...] = ()
    buffer: Duration
    targets: Targets

    def share_at(self, rate_bps: int) -> float:
        """The part of an access line of ``rate_bps`` this class is policed to; 0 = not policed."""
        return next((step.share for step in self.police if step.covers(rate_bps)), 0.0)


class ServiceSpec(_Strict):
    """A catalogue service: what its server listens on, and the class its packets travel in."""

    protocol: ProtocolName
    ports: tuple[Ports, ...] = ()
    cls: Name = Field(alias="class")


class Selector(_Strict):
    """Sites that match every key given; within a key, any of its values."""

    kind: tuple[Kind, ...] | None = None
    region: tuple[Region, ...] | None = None
    tier: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    site: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Selector:
        if not self.model_dump(exclude_none=True):
            raise ValueError("selects nothing: name a kind, region, tier, tags or site")
        return self


class VpnSpec(_Strict):
    """A VPN: its member sites, and the route targets it imports and exports (RFC 4364, 4.3.1)."""

    members: Selector
    imports: tuple[RouteTarget, ...] = Field(default=(), alias="import")
    exports: Annotated[tuple[RouteTarget, ...], Field(min_length=1, alias="export")]


class ContractSpec(_Strict):
    """Who may open which services to whom; with ``both_ways`` the other side may open them too."""

    client: Selector = Field(alias="from")
    server: Selector = Field(alias="to")
    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    both_ways: Annotated[bool, Field(strict=True)] = False
    same_region: Annotated[bool, Field(strict=True)] = False


class PolicySpec(_Strict):
    """One policy file."""

    name: Name
    description: str = ""
    classes: Annotated[dict[Name, ClassSpec], Field(min_length=1)]
    services: dict[Name, ServiceSpec]
    vpns: Annotated[dict[Name, VpnSpec], Field(min_length=1)]
    contracts: dict[Name, ContractSpec]


def policy_json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors and other tools."""
    schema = PolicySpec.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
