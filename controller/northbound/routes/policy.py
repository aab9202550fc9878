"""Endpoints that show and change the policy, and those of events, changes and metrics."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from helsewan.common.errors import Problem
from helsewan.controller.northbound.context import MOST_LISTENERS, Body, Context, Parts, Who, problem_responses
from helsewan.controller.northbound.events import Misplaced
from helsewan.controller.northbound.problems import ProblemDetails, bad_input
from helsewan.controller.northbound.views import metrics, views
from helsewan.controller.northbound.views.models import AppliedOut, ChangesOut, DryRunOut, PolicyOut

MOST_CHANGES = 1000
_YAML: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/yaml": {"schema": {"type": "string"}}}}
}

routes = APIRouter(prefix="/v1")
scraped = APIRouter()


@routes.get("/policy")
def policy(parts: Parts, response: Response) -> PolicyOut:
    """The policy in force. Its ETag is its version: send it with If-Match to change what you have seen."""
    found = views.policy(parts.source.plan(), parts.source.state())
    response.headers["etag"] = f'"{found.version}"'
    return found


@routes.post("/policy/dry-run", openapi_extra=_YAML, responses=problem_responses(s422="the policy is wrong"))
def dry_run(parts: Parts, body: Body, response: Response) -> DryRunOut:
    """What a policy (YAML) would change, in words and in rules; nothing is changed."""
    found = parts.policies.dry_run(body)
    response.headers["etag"] = f'"{found.against}"'
    return found


@routes.put(
    "/policy",
    openapi_extra=_YAML,
    responses=problem_responses(
        s409="the network refused", s412="another policy is in force", s422="the policy is wrong", s428="no If-Match"
    ),
)
def apply(
    parts: Parts, body: Body, who: Who, response: Response, if_match: Annotated[str | None, Header()] = None
) -> AppliedOut:
    """Puts a policy (YAML) in the place of the one whose ETag If-Match names, or of any (``*``). Answers when every
    router has turned to it; otherwise nothing has changed, and the answer says why."""
    if if_match is None:
        hint = "send If-Match with the ETag of GET /v1/policy, or * to take the place of any"
        raise ProblemDetails(HTTPStatus.PRECONDITION_REQUIRED, f"which policy is to be replaced? (hint: {hint})")
    found = parts.policies.apply(body, if_match.strip().removeprefix("W/").strip('"'), who)
    response.headers["etag"] = f'"{found.version}"'
    return found


@routes.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}},
        **problem_responses(s422="no such event", s503="too many listen"),
    },
)
async def events(
    parts: Parts,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[str | None, Query(description="As Last-Event-ID; 0 for all there are.")] = None,
) -> StreamingResponse:
    """What happens, as it happens (text/event-stream): from now on, or from where an earlier stream ended."""
    last = last_event_id or after
    try:
        position = parts.events.end() if last is None else parts.events.check(last)
    except Misplaced:
        hint = "take an id that a stream has given, or 0 for all"
        raise bad_input([Problem("Last-Event-ID", last, "is no event's", hint)]) from None
    if not parts.listeners.acquire(blocking=False):
        raise ProblemDetails(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_LISTENERS} listen already")
    return StreamingResponse(_stream(parts, position), media_type="text/event-stream", headers=_LIVE)


_LIVE = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def _stream(parts: Context, position: int) -> AsyncIterator[bytes]:
    try:
        async for piece in parts.events.follow(position):
            yield piece
    finally:
        parts.listeners.release()


@routes.get("/changes")
def changes(parts: Parts, limit: Annotated[int, Query(ge=1, le=MOST_CHANGES)] = 100) -> ChangesOut:
    """The latest records of the audit log of changes: who, what, before, after."""
    lines = parts.changes.read_text(encoding="utf-8").splitlines()[-limit:]
    return ChangesOut(changes=[json.loads(line) for line in lines])


@scraped.get("/metrics", response_class=Response, responses={200: {"content": {metrics.CONTENT_TYPE: {}}}})
def scrape(parts: Parts) -> Response:
    """Metrics in Prometheus's text format."""
    return Response(metrics.exposition(parts.source, parts.counters), media_type=metrics.CONTENT_TYPE)
