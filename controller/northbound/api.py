"""The northbound interface as one ASGI application: routes, exception handlers, and authentication."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from helsewan.common.errors import Problem
from helsewan.common.library_words import schema_reason
from helsewan.controller.northbound.auth_middleware import AuthMiddleware
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.controller_client import Declined, Unreachable
from helsewan.controller.northbound.openapi import openapi
from helsewan.controller.northbound.problems import ProblemDetails, bad_input
from helsewan.controller.northbound.query import refuse_unknown
from helsewan.controller.northbound.routes import network, policy
from helsewan.topology.place_names import AmbiguousName

ROUTES = (network.routes, policy.routes, policy.scraped)
_ABOUT = (
    "State and control of the SDN controller of one emulated network. Every request needs a bearer token. "
    "Errors are RFC 9457 problem details of at most 64 kB. HEAD is answered as GET, without the body."
)


def application(context: Context) -> FastAPI:
    """The routes on ``context``, without authentication."""
    app = FastAPI(
        title="helsewan northbound",
        version="1",
        description=_ABOUT,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # both pages would load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown)],
    )
    app.state.context = context
    for routes in ROUTES:
        app.include_router(routes)
    app.add_exception_handler(ProblemDetails, _problem)
    app.add_exception_handler(Unreachable, _unreachable)
    app.add_exception_handler(Declined, _declined)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(AmbiguousName, _ambiguous)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _broken)
    app.openapi = partial(openapi, app)  # type: ignore[method-assign]
    return app


def authenticated(context: Context, tokens: Sequence[str]) -> AuthMiddleware:
    """The application as it is served: only requests with one of ``tokens`` reach the routes."""
    return AuthMiddleware(application(context), tokens)


def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemDetails)
    return error.response()


def _unreachable(_: Request, error: Exception) -> JSONResponse:
    return ProblemDetails(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"retry-after": "1"}).response()


def _declined(_: Request, error: Exception) -> JSONResponse:
    return ProblemDetails(HTTPStatus.BAD_GATEWAY, str(error)).response()


def _ambiguous(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AmbiguousName)
    return bad_input(error.problems, HTTPStatus.CONFLICT, error.choices).response()


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(".".join(map(str, each["loc"])), _given(each), schema_reason(each["type"], each.get("ctx", {})))
        for each in error.errors()
    ]
    return bad_input(problems).response()


def _given(error: dict[str, Any]) -> object:
    """The value that an error is about; None for one that is missing."""
    return None if error["type"] == "missing" else error.get("input")


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = ", ".join(_allowed(request))
    return ProblemDetails(HTTPStatus(error.status_code), str(error.detail), headers=headers).response()


def _allowed(request: Request) -> list[str]:
    """The methods of all routes with the request's path; Starlette names those of the first alone."""
    routes = [route for each in (*ROUTES, request.app) for route in each.routes]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = set[str]().union(*(getattr(route, "methods", None) or () for route in matching))
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _broken(_: Request, error: Exception) -> JSONResponse:
    return ProblemDetails(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}").response()
