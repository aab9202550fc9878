"""Endpoints that show and change the policy, and those of events, changes and metrics."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from helsewan.common.errors import Problem
from helsewan.controller.northbound.context import MAX_STREAMS, Body, Context, Parts, Who, problem_responses
from helsewan.controller.northbound.events import UnknownEventId
from helsewan.controller.northbound.problems import ProblemDetails, bad_input
from helsewan.controller.northbound.views import metrics, views
from helsewan.controller.northbound.views.models import AppliedOut, ChangesOut, DryRunOut, PolicyOut

MAX_CHANGES = 1000
_YAML: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/yaml": {"schema": {"type": "string"}}}}
}

routes = APIRouter(prefix="/v1")
scraped = APIRouter()


@routes.get("/policy")
def policy(parts: Parts, response: Response) -> PolicyOut:
    """The policy in force. Its ETag is its version; send it as If-Match to replace exactly this version."""
    found = views.policy(parts.controller.plan(), parts.controller.state())
    response.headers["etag"] = f'"{found.version}"'
    return found


@routes.post("/policy/dry-run", openapi_extra=_YAML, responses=problem_responses(s422="the policy is wrong"))
def dry_run(parts: Parts, body: Body, response: Response) -> DryRunOut:
    """What a policy (YAML) would change, as text and in numbers of rules; nothing is changed."""
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
    """Replaces the policy whose ETag If-Match names, or any (``*``), with the policy sent (YAML). Responds when every
    router has changed to it; otherwise nothing has changed, and the response has the reason."""
    if if_match is None:
        hint = "send If-Match with the ETag of GET /v1/policy, or * to replace any"
        raise ProblemDetails(HTTPStatus.PRECONDITION_REQUIRED, f"which policy is to be replaced? (hint: {hint})")
    found = parts.policies.apply(body, if_match.strip().removeprefix("W/").strip('"'), who)
    response.headers["etag"] = f'"{found.version}"'
    return found


@routes.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}},
        **problem_responses(s422="no such event", s503="too many event streams"),
    },
)
async def events(
    parts: Parts,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[str | None, Query(description="Like Last-Event-ID; 0 for all events.")] = None,
) -> StreamingResponse:
    """Events as they happen (text/event-stream): from now on, or from where an earlier stream ended."""
    last = last_event_id or after
    try:
        position = parts.events.end() if last is None else parts.events.check(last)
    except UnknownEventId:
        hint = "send an id from an earlier stream, or 0 for all"
        raise bad_input([Problem("Last-Event-ID", last, "is no event's id", hint)]) from None
    if not parts.streams.acquire(blocking=False):
        raise ProblemDetails(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_STREAMS} event streams are open already")
    return StreamingResponse(_stream(parts, position), media_type="text/event-stream", headers=_STREAM_HEADERS)


_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def _stream(parts: Context, position: int) -> AsyncIterator[bytes]:
    try:
        async for chunk in parts.events.follow(position):
            yield chunk
    finally:
        parts.streams.release()


@routes.get("/changes")
def changes(parts: Parts, limit: Annotated[int, Query(ge=1, le=MAX_CHANGES)] = 100) -> ChangesOut:
    """The latest records of the audit log: who changed what, before and after."""
    lines = parts.changes.read_text(encoding="utf-8").splitlines()[-limit:]
    return ChangesOut(changes=[json.loads(line) for line in lines])


@scraped.get("/metrics", response_class=Response, responses={200: {"content": {metrics.CONTENT_TYPE: {}}}})
def scrape(parts: Parts) -> Response:
    """Metrics in Prometheus's text format."""
    return Response(metrics.exposition(parts.controller, parts.counters), media_type=metrics.CONTENT_TYPE)
