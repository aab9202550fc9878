"""Base model of the arguments of a client's request."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """An operation's arguments. Unknown ones and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
