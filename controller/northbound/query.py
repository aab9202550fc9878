"""Query parameters of requests: those that a route does not have, or has twice, are refused."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Any

from fastapi import Request

from helsewan.common.errors import Problem
from helsewan.controller.northbound.problems import bad_input


def refuse_unknown(request: Request) -> None:
    """Raises ProblemDetails where a query parameter is not of the OpenAPI document, or is given twice: passed over, a
    misspelt filter would select everything."""
    if not request.url.query:
        return
    known = _parameters(request)
    given = Counter(name for name, _ in request.query_params.multi_items())
    hint = f"known here: {', '.join(known)}" if known else "none is known here"
    problems = [Problem("query", name, "is an unknown parameter", hint) for name in given if name not in known]
    problems += [
        Problem("query", name, f"is given {count} times", "give it once")
        for name, count in given.items()
        if count > 1 and name in known
    ]
    if problems:
        raise bad_input(problems, HTTPStatus.BAD_REQUEST)


def _parameters(request: Request) -> list[str]:
    """The query parameters of the request's operation."""
    document: dict[str, Any] = request.app.openapi()
    operation = document["paths"][request.scope["route"].path][request.method.lower()]
    return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
