"""ASGI middleware in front of every route: bearer-token authentication, and limits on the size and duration of
requests and responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

from helsewan.common.document import MAX_BYTES
from helsewan.controller.northbound.problems import ProblemDetails
from helsewan.controller.northbound.tokens import holder

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

BODY_S = 10.0  # timeout of each part of a request's body
READER_S = 10.0  # timeout of a client that does not read the response
_CHALLENGE = {"www-authenticate": "Bearer"}


class AuthMiddleware:
    """The ASGI application ``app`` for holders of ``tokens``. A client that reads nothing for ``reader_s`` seconds is
    disconnected."""

    def __init__(self, app: App, tokens: Sequence[str], reader_s: float = READER_S) -> None:
        self._app, self._tokens, self._reader_s = app, tokens, reader_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        name = holder(self._tokens, _header(scope, b"authorization"))
        if name is None:
            await self._respond(
                ProblemDetails(HTTPStatus.UNAUTHORIZED, "a token is needed", headers=_CHALLENGE), scope, send
            )
            return
        if not state.get("admit", _always)():
            busy = ProblemDetails(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many clients are connected", headers={"retry-after": "1"}
            )
            await self._respond(busy, scope, send)
            return
        client = scope.get("client")
        peer = {"uid": state["uid"]} if "uid" in state else {"address": client[0]} if client else {}
        state["who"] = {"door": "api", "name": name, **peer}
        if scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._forward(scope, receive, send)

    async def _head(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as GET is answered, without the body; a stream ends with its headers."""
        headers: list[Message] = []

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers.append(message)
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif message.get("more_body"):
                raise _Answered

        try:
            await self._forward({**scope, "method": "GET"}, receive, without_body)
        except (_Answered, ExceptionGroup):
            if not headers:
                raise

    async def _forward(self, scope: Message, receive: Receive, send: Send) -> None:
        dropped = False

        async def in_time(message: Message) -> None:
            nonlocal dropped
            try:
                await asyncio.wait_for(send(message), self._reader_s)
            except TimeoutError:
                dropped = True
                scope["state"].get("abort", lambda: None)()
                raise OSError("the client does not read the response") from None

        try:
            await self._app(scope, _BoundedBody(receive).receive, in_time)
        except Exception:
            if not dropped:
                raise

    async def _respond(self, problem: ProblemDetails, scope: Message, send: Send) -> None:
        async def disconnected() -> Message:
            return {"type": "http.disconnect"}

        await problem.response()(scope, disconnected, send)


class _Answered(Exception):
    """All of the response that a HEAD request gets has been sent."""


def _always() -> bool:
    return True


class _BoundedBody:
    """Limits a request's body to MAX_BYTES, and each of its parts to BODY_S. Messages after the body (a disconnect)
    are passed on without a timeout."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._size, self._whole = receive, 0, False

    async def receive(self) -> Message:
        """The next ASGI message. Raises ProblemDetails where a limit is exceeded."""
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_S)
        except TimeoutError:
            raise ProblemDetails(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time") from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > MAX_BYTES:
            raise ProblemDetails(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BYTES} bytes")
        return message


def _header(scope: Message, name: bytes) -> bytes:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else b""
