"""Schema of what nearly all traffic has: the pairs of sites that it runs between."""

from __future__ import annotations

from enum import Enum
from typing import Self

from pydantic import Field, model_validator

from helsewan.common.units import UnitError
from helsewan.policies.language.schema import Name, Selector
from helsewan.scenarios.spec.values import Count, Strict


class Relation(str, Enum):
    """Which pairs of sites an entry of the traffic connects."""

    ANY = "any"
    WITHIN = "within"  # both in one region
    ACROSS = "across"  # in two regions


class Pairs(Strict):
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
