"""The OpenAPI document: what FastAPI derives from the routes, and what holds for all of them and it cannot know: the
token, the limits on requests, and errors as RFC 9457 problem details and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from helsewan.controller.northbound.problems import MEDIA_TYPE
from helsewan.controller.northbound.views.models import ProblemDetailsOut

_SCHEME = "token"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetailsOut.__name__}"}}}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
_BODILESS = {"get", "delete", "head"}

Operation = dict[str, Any]


def openapi(app: FastAPI) -> dict[str, Any]:
    """The document of ``app``; also served at its ``openapi_url``."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = made["components"]
        components["securitySchemes"] = {
            _SCHEME: {"type": "http", "scheme": "bearer", "description": "The lab's token: NAME.SECRET."}
        }
        made["security"] = [{_SCHEME: []}]
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which no route sends
            components["schemas"].pop(unused, None)
        for method, operation in _operations(made):
            _complete(method, operation)
        app.openapi_schema = made
    return app.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path in document["paths"].values():
        yield from path.items()


def _complete(method: str, operation: Operation) -> None:
    """Add the responses that every operation may have, and make problem details of all errors."""
    responses = operation["responses"]
    responses.setdefault("400", {"description": "an unknown query parameter, or one given twice"})
    responses.setdefault("401", {"description": "no token, or not this lab's"})["headers"] = _CHALLENGE
    responses.setdefault("502", {"description": "the controller declined"})
    responses.setdefault("503", {"description": "the controller does not answer, or too many clients"})
    responses["503"]["headers"] = _RETRY
    if method not in _BODILESS and "requestBody" in operation:
        responses["408"] = {"description": "the body did not arrive in time"}
        responses["413"] = {"description": "the body is too large"}
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = _PROBLEM
            if response["description"] == "Validation Error":
                response["description"] = "a parameter is wrong"
    operation["responses"] = dict(sorted(responses.items()))
