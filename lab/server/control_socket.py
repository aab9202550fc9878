"""Control-socket server of a running lab.

Each client has a thread and one request, whose arguments are checked against the operation's model before anything is
done. An error becomes the answer; a client that is slow, breaks the protocol or goes away loses only its connection.
"""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.lab.client.protocol import REQUEST_LIMIT_BYTES, VERSION, Message, WireError, close_all, receive, send
from helsewan.lab.client.request import Request

MAX_CLIENTS = 128
REQUEST_DEADLINE_S = 5.0  # for a whole request to arrive, and a reply to be taken


class OperationRefused(Exception):
    """The lab does not do what was asked; the message says why, ``status`` is the client's exit code."""

    def __init__(self, why: str, status: int = ExitCode.BAD_INPUT) -> None:
        self.status = status
        super().__init__(why)


@dataclass(frozen=True)
class Followed:
    """An answer ``value``, after which ``follow`` goes on with the client's connection."""

    value: object
    follow: Callable[[socket.socket], None]


@dataclass(frozen=True)
class Operation:
    """An operation that clients may request: ``act`` gets arguments that fit ``request`` and exactly ``fds``
    descriptors, which are closed when it returns. OperationRefused and InputError become the client's error."""

    request: type[Request]
    act: Callable[[Any, Sequence[int]], object]
    fds: int = 0


class Server:
    """Answers clients of ``listener`` with ``operations``, in threads of its own, until the process ends."""

    def __init__(self, listener: socket.socket, operations: Mapping[str, Operation], debug: bool = False) -> None:
        self._listener, self._operations, self._debug = listener, operations, debug
        self._capacity = threading.BoundedSemaphore(MAX_CLIENTS)

    def start(self) -> None:
        """Start to accept clients."""
        threading.Thread(target=self._accept, name="lab-accept", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # a client that left at once, or no descriptor free at the moment
                threading.Event().wait(0.05)
                continue
            if not self._capacity.acquire(blocking=False):
                self._reply(
                    connection, {"error": f"the network has {MAX_CLIENTS} clients already", "status": ExitCode.VOID}
                )
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="lab-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        fds: list[int] = []
        try:
            with connection:
                message, fds = receive(connection, REQUEST_LIMIT_BYTES, REQUEST_DEADLINE_S)
                reply, follow = self.answer(message, fds)
                close_all(fds)
                fds = []
                if self._reply(connection, reply) and follow:
                    follow(connection)
        except WireError:
            pass  # this client's connection ends, no other
        except Exception:  # nothing a client sends may end more than its own connection
            traceback.print_exc()
        finally:
            close_all(fds)
            self._capacity.release()

    def answer(self, message: Message, fds: Sequence[int]) -> tuple[Message, Callable[[socket.socket], None] | None]:
        """The reply to a request, and what goes on with the connection afterwards, if anything."""
        try:
            operation, arguments = self._parsed(message, fds)
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

    def _parsed(self, message: Message, fds: Sequence[int]) -> tuple[Operation, Request]:
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
    def _reply(connection: socket.socket, reply: Message) -> bool:
        try:
            send(connection, reply, deadline_s=REQUEST_DEADLINE_S)
        except WireError:
            return False
        return True
