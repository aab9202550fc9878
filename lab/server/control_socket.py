"""A standing network's ear: takes requests from clients, and outlives whatever they send.

Each client has a thread and one request. What it asks is checked against the operation's model before anything is done;
what goes wrong is an answer; a client that is slow, breaks the protocol or goes away loses its connection and no more.
"""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.lab.client.protocol import REQUEST_LIMIT_BYTES, VERSION, Message, WireError, close_all, receive, send

MAX_CLIENTS = 128
REQUEST_DEADLINE_S = 5.0  # for a whole request to arrive, and a reply to be taken


class Request(BaseModel):
    """An operation's arguments. Unknown ones and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OperationRefused(Exception):
    """The network does not do what was asked; the message says why, ``status`` is the client's exit code."""

    def __init__(self, why: str, status: int = ExitCode.BAD_INPUT) -> None:
        self.status = status
        super().__init__(why)


@dataclass(frozen=True)
class Followed:
    """An answer after which the operation goes on talking to its client."""

    value: object
    follow: Callable[[socket.socket], None]


@dataclass(frozen=True)
class Operation:
    """What clients may ask: ``act`` gets arguments that fit ``request`` and exactly ``fds`` descriptors, which are
    closed when it returns. Refused and InputError become the client's error."""

    request: type[Request]
    act: Callable[[Any, Sequence[int]], object]
    fds: int = 0


class Server:
    """Answers clients of ``listener`` with ``operations``, in threads of its own, until the process ends."""

    def __init__(self, listener: socket.socket, operations: Mapping[str, Operation], debug: bool = False) -> None:
        self._listener, self._operations, self._debug = listener, operations, debug
        self._room = threading.BoundedSemaphore(MAX_CLIENTS)

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._accept, name="standing-accept", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # a client that left at once, or no descriptor free at the moment
                threading.Event().wait(0.05)
                continue
            if not self._room.acquire(blocking=False):
                self._say(
                    connection, {"error": f"the network has {MAX_CLIENTS} clients already", "status": ExitCode.VOID}
                )
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="standing-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        fds: list[int] = []
        try:
            with connection:
                message, fds = receive(connection, REQUEST_LIMIT_BYTES, REQUEST_DEADLINE_S)
                reply, follow = self.answer(message, fds)
                close_all(fds)
                fds = []
                if self._say(connection, reply) and follow:
                    follow(connection)
        except WireError:
            pass  # the client's loss
        except Exception:  # nothing a client sends may end more than its own connection
            traceback.print_exc()
        finally:
            close_all(fds)
            self._room.release()

    def answer(self, message: Message, fds: Sequence[int]) -> tuple[Message, Callable[[socket.socket], None] | None]:
        """The reply to a request, and what follows it, if anything."""
        try:
            operation, arguments = self._understood(message, fds)
            value = operation.act(arguments, fds)
        except (OperationRefused, InputError) as error:
            return {"error": str(error), "status": getattr(error, "status", ExitCode.BAD_INPUT)}, None
        except Exception as error:
            if self._debug:
                traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}", "status": ExitCode.VOID}, None
        if isinstance(value, Followed):
            return {"ok": value.value}, value.follow
        return {"ok": value}, None

    def _understood(self, message: Message, fds: Sequence[int]) -> tuple[Operation, Request]:
        version = message.get("version")
        if version != VERSION:
            raise OperationRefused(
                f"the network speaks version {VERSION}, this helsewan {version!r}: use the one it came up with"
            )
        operation = self._operations.get(str(message.get("op")))
        if operation is None or set(message) != {"version", "op", "arguments"}:
            raise OperationRefused(f"a request the network does not know: {str(message.get('op'))[:40]!r}")
        if len(fds) != operation.fds:
            raise OperationRefused(f"{message['op']} takes {operation.fds} descriptors, not {len(fds)}")
        try:
            return operation, operation.request.model_validate_json(json.dumps(message["arguments"]))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise OperationRefused(f"{message['op']}: {where}: {first['msg']}") from None

    @staticmethod
    def _say(connection: socket.socket, reply: Message) -> bool:
        try:
            send(connection, reply, deadline_s=REQUEST_DEADLINE_S)
        except WireError:
            return False
        return True
