"""Changes to links: requests as clients send them, and how they change a link's model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from helsewan.emulation.links.pipe_model import (
    ClassQueue,
    CoDel,
    Direction,
    Distribution,
    Jitter,
    Loss,
    PipeModel,
    Red,
    RedCurve,
)
from helsewan.lab.client.request import Request

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
MAX_DELAY_US = 3_600_000_000
MAX_RATE_BPS = 1_000_000_000_000
_Delay = Annotated[int, Field(ge=0, le=MAX_DELAY_US)]
_Bytes = Annotated[int, Field(ge=1, le=2**31 - 1)]


class LossChange(Request):
    """As ``pipe_model.Loss``."""

    p: Probability = 0.0
    r: Probability = 1.0
    good: Probability = 0.0
    bad: Probability = 1.0


class QueueChange(Request):
    """New settings of one class's queue; those not set stay as they are. ``aqm``: None for none, else ("codel", target
    and interval in us) or ("red", lower and upper limit in bytes, maximum probability in parts per million)."""

    weight: Annotated[int, Field(ge=1, le=1000)] | None = None
    limit_bytes: _Bytes | None = None
    limit_us: _Delay | None = None
    aqm: tuple[str, tuple[int, ...]] | None = None


class LinkChange(Request):
    """New settings of one direction of a link, or both; those not set stay as they are, None removes a setting."""

    rate_bps: Annotated[int, Field(ge=1, le=MAX_RATE_BPS)] = 1
    delay_us: _Delay = 0
    overhead_bytes: Annotated[int, Field(ge=-14, le=1000)] = 0
    mtu_bytes: Annotated[int, Field(ge=68, le=65535)] | None = None
    buffer_bytes: _Bytes | None = None
    jitter_us: _Delay | None = None
    jitter_distribution: str = Distribution.UNIFORM.value
    reorder: bool = False
    loss: LossChange | None = None
    duplicate: Probability = 0.0
    corrupt: Probability = 0.0
    queues: dict[str, QueueChange] = Field(default_factory=dict)


def applied(change: LinkChange, model: PipeModel, queue_of: Mapping[str, int]) -> PipeModel:
    """``model`` with ``change`` applied; ``queue_of`` maps classes to queues. Raises KeyError for an unknown class."""
    changed = change.model_fields_set
    copied = ("rate_bps", "delay_us", "overhead_bytes", "mtu_bytes", "buffer_bytes", "duplicate", "corrupt")
    changes: dict[str, Any] = {name: getattr(change, name) for name in copied if name in changed}
    if {"jitter_us", "jitter_distribution", "reorder"} & changed:
        changes["jitter"] = _jitter(change, model.jitter)
    if "loss" in changed:
        changes["loss"] = change.loss and Loss(**change.loss.model_dump())
    queues = list(model.queues)
    for name, queue_change in change.queues.items():
        number = min(queue_of[name], len(queues) - 1)  # classes beyond the last queue share that one
        queues[number] = _queue(queue_change, queues[number])
    return replace(model, **changes, queues=tuple(queues))


def _jitter(change: LinkChange, before: Jitter | None) -> Jitter | None:
    changed = change.model_fields_set
    spread_us = change.jitter_us if "jitter_us" in changed else before and before.spread_us
    if not spread_us:
        return None
    jitter = replace(before or Jitter(spread_us), spread_us=spread_us)
    if "jitter_distribution" in changed:
        jitter = replace(jitter, distribution=Distribution(change.jitter_distribution))
    return replace(jitter, reorder=change.reorder) if "reorder" in changed else jitter


def _queue(change: QueueChange, before: ClassQueue) -> ClassQueue:
    changed = change.model_fields_set
    changes: dict[str, Any] = {name: getattr(change, name) for name in ("limit_bytes", "limit_us") if name in changed}
    if change.weight is not None:
        changes["weight"] = change.weight
    if "aqm" in changed:
        changes["aqm"] = change.aqm and _aqm(*change.aqm)
    return replace(before, **changes)


def _aqm(name: str, numbers: tuple[int, ...]) -> Red | CoDel:
    if name == "codel":
        return CoDel(*numbers)
    low, high, max_ppm = numbers
    return Red((RedCurve(low, high, max_ppm / 1e6),))


class LinkState(Request):
    """Whether links are ``down``, black holes (all frames are dropped, with carrier up) or paused; None: no change."""

    model_config = ConfigDict(populate_by_name=True)

    down: bool | None = None
    blackhole: bool | None = Field(
        default=None, validation_alias="silent", serialization_alias="silent"
    )  # aliases: names in requests and the history
    paused: bool | None = Field(default=None, validation_alias="frozen", serialization_alias="frozen")


class LinkRequest(Request):
    """Change the links that ``line`` names, in one direction or both; with ``reset``, to the network's settings
    first."""

    line: str
    directions: tuple[Direction, ...]
    reset: bool = False
    change: LinkChange = LinkChange()
    state: LinkState = LinkState()


class TraceRequest(Request):
    """Let the links that ``line`` names follow a trace; its file, named ``file``, comes with the request. The trace
    restarts every ``repeat_us``, if given. ``off``: follow no trace any more."""

    line: str
    directions: tuple[Direction, ...]
    file: str
    repeat_us: Annotated[int, Field(ge=1)] | None = None
    off: bool = False
