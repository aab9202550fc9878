"""Schema of the traffic section: its kinds of entries. What depends on the policy is checked by ``traffic.flows``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Name, Rate, Selector
from helsewan.scenarios.spec.traffic.replay import ReplaySpec
from helsewan.scenarios.spec.values import Count, DatagramSize, Interval, Size, Strict


class Relation(str, Enum):
    """Which pairs of sites an entry of the traffic connects."""

    ANY = "any"
    WITHIN = "within"  # both in one region
    ACROSS = "across"  # in two regions


class _Pairs(Strict):
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


class IsolationSpec(Strict):
    """Probes between sites that the policy separates, and a control for every socket probed."""

    kind: Literal["isolation"]
    count: Count
    every: Interval
    control_every: Interval = 1_000_000


Traffic = Annotated[
    VoiceSpec | VideoSpec | MessageSpec | TransactionSpec | IsolationSpec | ReplaySpec, Field(discriminator="kind")
]
