"""Schema of scenario files. Unknown keys and wrong types are refused.

What depends on several entries is checked by ``spec.spec``, what depends on the network or the policy by
``spec.targets`` and ``traffic.flows``.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError, parse_size_bytes
from helsewan.policies.language.schema import Duration, Name, Rate, Selector
from helsewan.scenarios.spec.metrics import METRICS, Limit, Unit, parse_limit
from helsewan.scenarios.spec.timepoints import TimePoint, parse_time_point
from helsewan.topology.model import MOST_SEED, Region

MAX_DURATION_US = 24 * 3600 * 1_000_000
MAX_DATAGRAM_BYTES = 1472  # UDP payload of a 1500-byte IPv4 packet
MIN_DATAGRAM_BYTES = 24  # the flow engine's header


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise UnitError("is no metric", nearest(name, METRICS))
    return name


MetricName = Annotated[str, AfterValidator(_known_metric)]
PointInTime = Annotated[TimePoint, BeforeValidator(parse_time_point)]
Size = Annotated[int, BeforeValidator(parse_size_bytes), Field(ge=1, le=10**9)]
DatagramSize = Annotated[int, BeforeValidator(parse_size_bytes), Field(ge=MIN_DATAGRAM_BYTES, le=MAX_DATAGRAM_BYTES)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Interval = Annotated[Duration, Field(ge=1_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ParameterType(str, Enum):
    """The type of a scenario's parameter."""

    REGION = "region"
    INTEGER = "integer"
    DURATION = "duration"
    TEXT = "text"


class ParameterSpec(_Strict):
    """A value that ``--set`` can change; ``${name}`` stands for it anywhere in the file."""

    type: ParameterType
    default: str | int
    help: str


class NetworkSpec(_Strict):
    """The network to build: how many sites in all, and the seed of everything random in the run; ``from`` names a
    network file, relative to the scenario's, in place of the national network."""

    source: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")
    sites: Annotated[int, Field(strict=True, ge=1, le=20_000)]
    seed: Annotated[int, Field(strict=True, ge=0, le=MOST_SEED)]
    swedish_route: Annotated[bool, Field(strict=True)] = False


class Relation(str, Enum):
    """Which pairs of sites an entry of the traffic connects."""

    ANY = "any"
    WITHIN = "within"  # both in one region
    ACROSS = "across"  # in two regions


class _Pairs(_Strict):
    """Traffic between pairs of sites that the policy lets use ``service``: clients ``from``, servers ``to``, or both
    of one selection, ``between``."""

    service: Name
    count: Count
    clients: Selector | None = Field(default=None, alias="from")
    servers: Selector | None = Field(default=None, alias="to")
    between: Selector | None = None
    relation: Relation = Relation.ANY

    @model_validator(mode="after")
    def _sites_once(self) -> Self:
        if self.between is not None and (self.clients is not None or self.servers is not None):
            raise UnitError("names sites twice", "give either between, or from and to")
        if self.between is None and (self.clients is None or self.servers is None):
            raise UnitError("does not name its sites", "give from and to, or between")
        return self

    @property
    def client(self) -> Selector:
        """The sites that may be clients."""
        return self._selected(self.clients)

    @property
    def server(self) -> Selector:
        """The sites that may be servers."""
        return self._selected(self.servers)

    def _selected(self, own: Selector | None) -> Selector:
        selected = self.between or own
        assert selected is not None  # validated above
        return selected

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys under which it names sites."""
        return ("between",) if self.between is not None else ("from", "to")


class VoiceSpec(_Pairs):
    """Calls: two RTP flows each, one in each direction."""

    kind: Literal["voice"]
    codec: Literal["g711", "g729a"] = "g711"


class VideoSpec(_Pairs):
    """Video calls: two flows each, every video frame a burst of datagrams."""

    kind: Literal["video"]
    rate: Annotated[Rate, Field(ge=64_000, le=100_000_000)]
    frames_per_second: Annotated[int, Field(strict=True, ge=1, le=60)] = 25


class MessageSpec(_Pairs):
    """Clinical messages as paced datagrams: one in each direction every ``every``."""

    kind: Literal["messages"]
    every: Interval
    request: DatagramSize
    reply: DatagramSize


class TransactionSpec(_Pairs):
    """Requests and responses over TCP, one connection each."""

    kind: Literal["transactions"]
    every: Interval
    request: Size
    response: Size
    deadline: Interval


class IsolationSpec(_Strict):
    """Probes between sites that the policy separates, and a control for every socket probed."""

    kind: Literal["isolation"]
    count: Count
    every: Interval
    control_every: Interval = 1_000_000


Traffic = Annotated[VoiceSpec | VideoSpec | MessageSpec | TransactionSpec | IsolationSpec, Field(discriminator="kind")]


class TargetSpec(_Strict):
    """The target of an event: exactly one of these."""

    region_core: Region | None = None
    pop: str | None = None
    router: str | None = None
    link: str | None = None
    access: str | None = None
    srlg: str | None = None
    controller: Literal["leading"] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> TargetSpec:
        if len(self.model_dump(exclude_none=True)) != 1:
            hint = "give one of region_core, pop, router, link, access, srlg, controller"
            raise UnitError("is not exactly one target", hint)
        return self


class EventSpec(_Strict):
    """An event of the timeline: when it happens, and the target that it fails or restores."""

    at: Duration
    fail: TargetSpec | None = None
    restore: TargetSpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> EventSpec:
        if (self.fail is None) == (self.restore is None):
            raise UnitError("is not exactly one action", "give either fail or restore")
        return self


class PhaseSpec(_Strict):
    """A period over which figures are taken; phases may overlap."""

    begin: PointInTime = Field(alias="from")
    end: PointInTime = Field(alias="to")


class Scope(str, Enum):
    """Flows by what the timeline's failures do to them."""

    ALL = "all"
    SURVIVING = "surviving"  # both ends keep their primary PoP
    ACCESS_HIT = "access_hit"  # an end loses its primary PoP and has another
    CUT = "cut"  # no path is left between the ends


class Over(str, Enum):
    """How a check judges several flows."""

    EACH = "each"  # the worst flow decides
    TOGETHER = "together"  # all flows pooled


class CheckSpec(_Strict):
    """A limit on a metric of some flows in a phase; no phase: the whole run."""

    metric: MetricName
    limit: Limit
    cls: Name | None = Field(default=None, alias="class")
    traffic: Name | None = None
    phase: Name | None = None
    scope: Scope = Scope.ALL
    over: Over = Over.EACH
    optional: Annotated[bool, Field(strict=True)] = False  # left out, not failed, where no flow is selected

    @field_validator("limit", mode="before")
    @classmethod
    def _read_limit(cls, text: object, info: ValidationInfo) -> object:
        metric = info.data.get("metric")  # missing where it is itself wrong, which is reported already
        return parse_limit(text, METRICS[metric]) if metric else Limit("==", 0, Unit.COUNT)


class VerifySpec(_Strict):
    """Proof of isolation: named times at which the rules of every switch are read back, to be proved after the run; and
    how many probe packets are sent before the traffic, and again after."""

    rules: dict[Name, PointInTime] = {}
    questions: Count | None = None

    @model_validator(mode="after")
    def _something(self) -> VerifySpec:
        if not self.rules and self.questions is None:
            raise UnitError("verifies nothing", "give rules, questions or both")
        return self


class ScenarioSpec(_Strict):
    """A scenario file."""

    name: Name
    description: str
    network: NetworkSpec
    policy: str
    standby: Annotated[bool, Field(strict=True)] = False  # a second controller takes over when the first fails
    duration: Annotated[Duration, Field(ge=100_000, le=MAX_DURATION_US)]
    parameters: dict[Name, ParameterSpec] = {}
    timeline: dict[Name, EventSpec] = {}
    phases: dict[Name, PhaseSpec] = {}
    verify: VerifySpec | None = None
    traffic: Annotated[dict[Name, Traffic], Field(min_length=1)]
    checks: Annotated[dict[Name, CheckSpec], Field(min_length=1)]
