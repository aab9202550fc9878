"""The objects that routes use, their dependency injection, and the error responses that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore
from typing import Annotated, Any

from fastapi import Depends, Request

from helsewan.controller.northbound.cache import Cache
from helsewan.controller.northbound.controller_client import ControllerProtocol
from helsewan.controller.northbound.counters import Counters
from helsewan.controller.northbound.events import EventFile
from helsewan.controller.northbound.policy import Policies
from helsewan.controller.northbound.problems import MEDIA_TYPE
from helsewan.controller.northbound.service import EFFECT_S, Service
from helsewan.controller.northbound.views.models import ProblemDetailsOut

MAX_STREAMS = 32  # open event streams


@dataclass(frozen=True)
class Context:
    """The objects of one server; ``changes`` is the audit log."""

    controller: ControllerProtocol
    events: EventFile
    changes: Path
    cache: Cache
    counters: Counters
    policies: Policies
    service: Service
    streams: Semaphore  # limits open event streams

    @classmethod
    def of(cls, controller: ControllerProtocol, events: Path, changes: Path, effect_s: float = EFFECT_S) -> Context:
        """The objects for a controller with the files of its events and of its audit log. ``effect_s``: how long a
        request that takes links out of service waits for new paths."""
        cache = Cache()
        return cls(
            controller,
            EventFile(events),
            changes,
            cache,
            Counters(controller),
            Policies(controller, cache),
            Service(controller, effect_s),
            Semaphore(MAX_STREAMS),
        )


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def _who(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = request.state.who
    return found


async def _body(request: Request) -> bytes:
    return await request.body()


Parts = Annotated[Context, Depends(_context)]
Who = Annotated[dict[str, Any], Depends(_who)]
Body = Annotated[bytes, Depends(_body)]


def problem_responses(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that are RFC 9457 problems, for OpenAPI: ``s404="why"``."""
    schema = {"content": {MEDIA_TYPE: {}}, "model": ProblemDetailsOut}
    return {int(status[1:]): {"description": reason, **schema} for status, reason in reasons.items()}
