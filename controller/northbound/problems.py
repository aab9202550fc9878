"""Error responses: RFC 9457 problem details, whose detail is one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from helsewan.common.errors import Problem

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(Exception):
    """A request was not carried out. ``problems`` are the errors in its input."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.detail, self.problems, self.headers = status, detail, problems, headers
        super().__init__(detail)

    def response(self) -> JSONResponse:
        """The HTTP response."""
        return JSONResponse(self.body(), self.status, self.headers, MEDIA_TYPE)

    def body(self) -> dict[str, Any]:
        """The response's JSON."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.problems:
            body["problems"] = [_input_problem(problem) for problem in self.problems]
        return body


def bad_input(problems: Sequence[Problem], status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> ProblemDetails:
    """The response to wrong input; its detail is the first problem, as the command line would print it."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ProblemDetails(status, f"{problems[0]}{more}", problems)


def no_such(where: str, value: str, reason: str, hint: str = "") -> ProblemDetails:
    """The response to a request that names an object which does not exist."""
    return bad_input([Problem(where, value, reason, hint)], HTTPStatus.NOT_FOUND)


def _input_problem(problem: Problem) -> dict[str, Any]:
    value = problem.value if isinstance(problem.value, str | int | float | bool | None) else str(problem.value)
    return {"where": problem.where, "value": value, "reason": problem.reason, "hint": problem.hint}
