"""Schema of a policy file. Unknown keys and wrong types are rejected.

Quantities carry units in the file and become integers here (``20 ms`` -> 20000 us). The compile
passes check what depends on several entries or on the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from helsewan.common.units import DURATION, RATE, SHARE, parse_duration_us, parse_rate_bps, parse_share
from helsewan.policies.language.dscp import parse_dscp
from helsewan.policies.language.ports import PortRange, parse_ports
from helsewan.policies.language.protocols import parse_protocol
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.language.timestamps import Timestamp, parse_timestamp
from helsewan.policies.plan import DETECT_WITHIN_US, PathChoice, Protocol, Risk, Scheduling
from helsewan.topology.model import Kind, Region

_NAME = r"[a-z0-9][a-z0-9.-]{0,59}"
Item = TypeVar("Item")
ALL = "all"
QUEUES = 8  # per link: the MPLS traffic class tells eight apart (RFC 5462)


def quantity(pattern: str, example: str, description: str) -> WithJsonSchema:
    """The JSON Schema of a quantity, a text of ``pattern``."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example], "description": description})


def parse_name(value: str) -> str:
    """``value`` if it can be the name of an entry. Raises ``Refusal``."""
    if not re.fullmatch(_NAME, value):
        raise Refusal("is no name", "use a to z, 0 to 9, . and -, at most 60 of them")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _removed(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    for section, names in value.items():
        if names != ALL and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise Refusal("has no entries to remove", f"write {section}: [name, other-name], or {section}: {ALL}")
    return value


def _reason(text: str) -> str:
    if not text.strip():
        raise Refusal("is empty", "say why, in a sentence")
    return text


def _not_empty(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise Refusal("is empty", "write at least one")
    return values


Some = Annotated[tuple[Item, ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]
Name = Annotated[str, AfterValidator(parse_name), Field(json_schema_extra={"pattern": f"^{_NAME}$"})]
RouteTarget = Annotated[str, Field(min_length=1)]
Duration = Annotated[int, BeforeValidator(parse_duration_us), quantity(DURATION, "20 ms", "a duration with its unit")]
Rate = Annotated[int, BeforeValidator(parse_rate_bps), quantity(RATE, "2 Mbit/s", "a rate with its unit")]
Share = Annotated[float, BeforeValidator(parse_share), quantity(SHARE, "30 %", "a percentage")]
Dscp = Annotated[
    int,
    BeforeValidator(parse_dscp),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["EF", "AF41", 0]}),
]
Ports = Annotated[
    PortRange,
    BeforeValidator(parse_ports),
    WithJsonSchema({"type": ["string", "integer"], "examples": [2575, "16384-16639", "any"]}),
]
_NAMES = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
_REMOVED = WithJsonSchema(
    {
        "type": "object",
        "additionalProperties": {"anyOf": [{"const": ALL}, {"type": "array", "items": {"type": "string"}}]},
    }
)
When = Annotated[
    Timestamp,
    BeforeValidator(parse_timestamp),
    WithJsonSchema({"type": "string", "examples": ["2026-12-31", "2026-12-31 16:00+01:00"]}),
]


Protocols = Annotated[
    Protocol,
    BeforeValidator(parse_protocol),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["tcp", "udp", "icmp", "gre", 47, "any"]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True)


class Targets(_Strict):
    """One-way performance targets of a class, from site to site."""

    delay: Duration
    """longest one-way delay"""
    jitter: Duration
    """longest delay variation"""
    loss: Share
    """largest part of packets lost"""


class PoliceStep(_Strict):
    """The policed share of a class on access links up to a speed."""

    up_to: Rate | None = None
    """fastest access link of this step; left out in the last step, which takes the rest"""
    share: Share
    """part of the access link's rate"""

    def covers(self, rate_bps: int) -> bool:
        """Whether an access link of ``rate_bps`` is within this step."""
        return self.up_to is None or rate_bps <= self.up_to


class WeightStep(_Strict):
    """Another share among the weighted queues, on links up to a speed."""

    up_to: Rate
    """fastest link of this step"""
    weight: Annotated[int, Field(strict=True, ge=1, le=1000)]
    """share among the weighted queues of such links"""


class PartsSpec(_Strict):
    """Parts of the backbone, by their names in the network."""

    links: Some[str] = ()
    """links"""
    srlg: Some[str] = ()
    """shared-risk groups: all links in them"""
    pops: Some[str] = ()
    """towns as transit; a path may begin or end there"""

    @model_validator(mode="after")
    def _not_blank(self) -> PartsSpec:
        if not self.model_fields_set:
            raise Refusal("names nothing", "name links, srlg or pops")
        return self


class DisjointSpec(_Strict):
    """Disjointness of a class's paths from those of other classes."""

    from_: Annotated[Some[Name], Field(alias="from")]
    """the other classes, which choose first"""
    share_no: Some[Risk] = (Risk.LINKS,)
    """what the paths must not share: links (always), srlg (shared-risk groups), pops (towns between the ends)"""


class ClassSpec(_Strict):
    """A class of service: its queue, code points, share of links and targets."""

    queue: Annotated[int, Field(strict=True)]
    """queue number on every link, 0..7; 0 is served first"""
    dscps: Some[Dscp]
    """code points of the class; the first marks its packets"""
    scheduling: Scheduling
    """strict (before all weighted queues) or weighted"""
    weight: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    """share among the weighted queues"""
    weights: tuple[WeightStep, ...] = ()
    """shares on slow links, by speed in rising order; weight applies to all faster links"""
    police: tuple[PoliceStep, ...] = ()
    """policed share of what a site sends, by access speed in rising order; not limited if left out"""
    buffer: Duration
    """longest queue, as the time to send it at the link's rate"""
    targets: Targets
    """largest one-way delay, jitter and loss"""
    path: PathChoice = PathChoice.LEAST_DELAY
    """least-delay, least-loaded (around loaded links) or min-max (the same by linear programming)"""
    avoid: PartsSpec | None = None
    """what its paths never use while nothing has failed, and after a failure only where there is no other path"""
    prefer: PartsSpec | None = None
    """what its paths use by preference: these links count half their delay"""
    disjoint: DisjointSpec | None = None
    """classes whose paths between the same routers share nothing with its own while nothing has failed"""

    def weight_at(self, rate_bps: int) -> int:
        """Its share among the weighted queues of a link of ``rate_bps``; 0 for a strict class."""
        return next((step.weight for step in self.weights if rate_bps <= step.up_to), self.weight or 0)

    def share_at(self, rate_bps: int) -> float:
        """The part of an access link of ``rate_bps`` that this class is policed to; 0 = not policed."""
        return next((step.share for step in self.police if step.covers(rate_bps)), 0.0)


class ServiceSpec(_Strict):
    """A catalogue service: what its server listens on, and the class its packets travel in."""

    protocol: Protocols
    """tcp, udp, icmp (echo), another protocol by name or number, or any"""
    ports: tuple[Ports, ...] = ()
    """server ports: single ports, ranges, or any; for tcp and udp only"""
    cls: Annotated[Name, Field(alias="class")]
    """class of service of its packets, in both directions"""
    keep: tuple[Name, ...] = ()
    """classes that its packets keep if their sender marked them so"""


class Selector(_Strict):
    """Sites that match every key given; within a key, any of its values."""

    kind: Some[Kind] = ()
    """kinds of site"""
    region: Some[Region] = ()
    """health regions"""
    tier: Some[str] = ()
    """hospital tiers"""
    tags: Some[str] = ()
    """tags of which the site has at least one"""
    site: Some[str] = ()
    """site ids"""

    @model_validator(mode="after")
    def _not_blank(self) -> Selector:
        if not self.model_fields_set:
            raise Refusal("selects nothing", "name a kind, region, tier, tags or site")
        return self


class AccessLinkUse(str, Enum):
    """The access links over which a dual-homed site is reached."""

    PRIMARY = "primary"
    BOTH = "both"


class Topology(str, Enum):
    """Which members of a VPN, and of its partners, have routes to each other."""

    MESH = "mesh"
    HUB_AND_SPOKE = "hub-and-spoke"
    EXTRANET = "extranet"


class VpnSpec(_Strict):
    """A VPN: its member sites, and the route targets it imports and exports (RFC 4364, 4.3.1)."""

    members: Selector
    """its sites; every site is in exactly one VPN"""
    topology: Topology | None = None
    """mesh (members have routes to each other), hub-and-spoke (the hub has routes to all, the others only to the
    hub) or extranet (members have routes to the VPNs in partners and back, but not to each other); import and export
    add to it"""
    hub: Selector | None = None
    """the members that are the hub of a hub-and-spoke"""
    partners: Some[Name] = ()
    """the VPNs that an extranet serves"""
    imports: Annotated[tuple[RouteTarget, ...], Field(alias="import")] = ()
    """route targets whose routes it imports; without its own, its members do not reach each other"""
    exports: Annotated[Some[RouteTarget], Field(alias="export")] = ()
    """route targets that its routes carry; optional with a topology that assigns some"""
    lines: AccessLinkUse = AccessLinkUse.PRIMARY
    """for sites with two access links: primary (the second is a backup) or both (reached over the nearest)"""


class ContractSpec(_Strict):
    """Who may open which services to whom."""

    client: Annotated[Selector, Field(alias="from")]
    """the sites that may open the services"""
    server: Annotated[Selector, Field(alias="to")]
    """the sites they may open them to"""
    services: Some[Name]
    """names from the service catalogue"""
    both_ways: Annotated[bool, Field(strict=True)] = False
    """the servers may open them to the clients too"""
    same_region: Annotated[bool, Field(strict=True)] = False
    """only where both sites are in one health region"""


class ExceptionSpec(ContractSpec):
    """A contract for a limited time, with a reason."""

    reason: Annotated[str, AfterValidator(_reason)]
    """why it is needed, for later reviewers"""
    begins: When | None = None
    """the day or time from which it holds; at once if left out"""
    until: When
    """the last day on which it holds, or the time at which it ends"""


class InternetSpec(_Strict):
    """The only route to the Internet."""

    at: Selector
    """the sites with the Internet gateways"""
    through: Some[Name]
    """the only services that other sites may open there; nothing may be opened from there"""


class QuarantineSpec(_Strict):
    """Sites that are cut off from all others, regardless of contracts and exceptions."""

    sites: Selector
    """the sites that are cut off"""
    within: Annotated[bool, Field(strict=True)] = False
    """contracts among these sites stay in force"""


class RepairSpec(_Strict):
    """How soon the network has to detect failures and reroute."""

    detect_within: Annotated[Duration, Field(ge=9_000, le=3_000_000)] = DETECT_WITHIN_US
    """time to detect a link that loses all frames with its carrier up; a longer time costs less"""


class PathsSpec(_Strict):
    """Demand that the backbone's paths must carry; without it, paths are chosen by delay alone."""

    busy: Share
    """part of its access link's rate that a site sends at the busiest hour"""
    fill: Share | None = None
    """part of a link's rate that this demand may take; not limited if left out"""


class IncludeKeys(_Strict):
    """Keys for including other files of the same kind; absent after merging."""

    include: Annotated[Some[str], BeforeValidator(_listed), _NAMES] = ()
    """files that this one changes: names of the library, or paths"""
    remove: Annotated[dict[str, Any], BeforeValidator(_removed), _REMOVED] = {}
    """entries removed from the included files, by section: names, or all"""


class PolicySpec(IncludeKeys):
    """A policy of the network: classes of service, service catalogue, VPNs and contracts."""

    name: Name
    """the policy's name"""
    description: str = ""
    """what it is for"""
    classes: dict[Name, ClassSpec]
    """classes of service by name"""
    services: dict[Name, ServiceSpec]
    """service catalogue by name"""
    vpns: dict[Name, VpnSpec]
    """VPNs by name"""
    contracts: dict[Name, ContractSpec]
    """contracts by name; what no contract allows is dropped"""
    exceptions: dict[Name, ExceptionSpec] = {}
    """temporary contracts, with a reason"""
    internet: InternetSpec | None = None
    """the only route to the Internet; without it, contracts alone decide"""
    quarantine: dict[Name, QuarantineSpec] = {}
    """sites that are cut off"""
    repair: RepairSpec = RepairSpec()
    """how soon failures are detected"""
    paths: PathsSpec | None = None
    """demand that paths must carry, and how far it may fill links"""
