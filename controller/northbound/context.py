"""What routes work with, and what all of them may answer."""

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

MOST_LISTENERS = 32  # at the events


@dataclass(frozen=True)
class Context:
    """The parts of one server; ``changes`` is the audit log."""

    source: ControllerProtocol
    events: EventFile
    changes: Path
    computed: Cache
    counters: Counters
    policies: Policies
    service: Service
    listeners: Semaphore  # room for those who follow the events

    @classmethod
    def of(cls, source: ControllerProtocol, events: Path, changes: Path, effect_s: float = EFFECT_S) -> Context:
        """The parts for a source, and the files of its events and changes."""
        computed = Cache()
        return cls(
            source,
            EventFile(events),
            changes,
            computed,
            Counters(source),
            Policies(source, computed),
            Service(source, effect_s),
            Semaphore(MOST_LISTENERS),
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
