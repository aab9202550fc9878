"""Error responses: RFC 9457 problem details, whose detail is one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import isfinite
from typing import Any

from fastapi.responses import JSONResponse

from helsewan.common.errors import Problem

MEDIA_TYPE = "application/problem+json"
MAX_RESPONSE_BYTES = 64_000
MAX_PROBLEMS = 20
MAX_TEXT = 1000  # characters of each text, of up to six bytes each; the detail has four of them
_PROBLEMS_BYTES = 32_000
_MAX_INTEGER = 2**63


class ProblemDetails(Exception):
    """A request was not carried out. ``problems`` are the errors in its input, ``choices`` the
    unambiguous names of what it may mean."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        choices: Sequence[str] = (),
    ) -> None:
        self.status, self.detail, self.problems, self.headers = status, detail, problems, headers
        self.choices = choices
        super().__init__(detail)

    def response(self) -> JSONResponse:
        """The HTTP response, of at most MAX_RESPONSE_BYTES whatever the request was."""
        return _Encoded(self.body(), self.status, self.headers, MEDIA_TYPE)

    def body(self) -> dict[str, Any]:
        """The response's JSON: the first problems, as many as there is room for, and how many are left out."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": _bounded(self.detail, 4 * MAX_TEXT),
        }
        if self.problems:
            shown = [_input_problem(problem) for problem in self.problems[:MAX_PROBLEMS]]
            while len(_encoded(shown)) > _PROBLEMS_BYTES:
                shown.pop()
            body["problems"] = shown
            if omitted := len(self.problems) - len(shown):
                body["omitted"] = omitted
        if self.choices:
            body["choices"] = [_bounded(choice) for choice in self.choices]
        return body


class _Encoded(JSONResponse):
    """JSON whose text may hold what UTF-8 does not: surrogates of a client's escapes."""

    def render(self, content: Any) -> bytes:
        return _encoded(content)


def _encoded(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def bad_input(
    problems: Sequence[Problem],
    status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY,
    choices: Sequence[str] = (),
) -> ProblemDetails:
    """The response to wrong input; its detail is the first problem, as the command line would print it."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    first = problems[0]
    value = first.value if isinstance(first.value, float | bytes) else _value(first.value)
    shown = Problem(_bounded(first.where), value, _bounded(first.reason), _bounded(first.hint))
    return ProblemDetails(status, f"{shown}{more}", problems, choices=choices)


def no_such(where: str, value: str, reason: str, hint: str = "") -> ProblemDetails:
    """The response to a request that names an object which does not exist."""
    return bad_input([Problem(where, value, reason, hint)], HTTPStatus.NOT_FOUND)


def _input_problem(problem: Problem) -> dict[str, Any]:
    where, reason, hint = map(_bounded, (problem.where, problem.reason, problem.hint))
    return {"where": where, "value": _value(problem.value), "reason": reason, "hint": hint}


def _value(value: object) -> str | int | float | None:
    """A value as JSON has it, of bounded length. Infinity, and numbers of more digits than Python or others print, are
    text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INTEGER else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    try:
        return _bounded(str(value))
    except ValueError:  # a number within it has too many digits to print
        return f"a {type(value).__name__}"


def _bounded(text: str, limit: int = MAX_TEXT) -> str:
    return text if len(text) <= limit else f"{text[:limit]} ... ({len(text):,} characters)"
