"""Control-socket server of a running lab.

Each client has a thread and sends one request, whose arguments are validated by the operation's model before anything
is done. Errors are sent as replies; a client that is slow, violates the protocol or disconnects affects no other one.
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
from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.lab.client.protocol import REQUEST_LIMIT_BYTES, VERSION, Message, ProtocolError, close_all, receive, send
from helsewan.lab.client.request import Request

MAX_CLIENTS = 128
REQUEST_DEADLINE_S = 5.0  # for a whole request to arrive, and a reply to be taken


class OperationRefused(Exception):
    """The lab refuses an operation; the message gives the reason, ``status`` is the client's exit code."""

    def __init__(self, reason: str, status: int = ExitCode.BAD_INPUT) -> None:
        self.status = status
        super().__init__(reason)


@dataclass(frozen=True)
class Followed:
    """A reply ``value``, after which ``follow`` continues to use the client's connection."""

    value: object
    follow: Callable[[socket.socket], None]


@dataclass(frozen=True)
class Operation:
    """An operation that clients may request. ``act`` is called with arguments validated by ``request`` and with ``fds``
    descriptors, which are closed when it returns; OperationRefused and InputError are sent to the client."""

    request: type[Request]
    act: Callable[[Any, Sequence[int]], object]
    fds: int = 0


class Server:
    """Serves ``operations`` to clients that connect to ``listener``, in threads of its own, until the process ends."""

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
            except OSError:  # the client has disconnected, or no descriptor is free
                threading.Event().wait(0.05)
                continue
            if not self._capacity.acquire(blocking=False):
                self._reply(
                    connection, {"error": f"the network already has {MAX_CLIENTS} clients", "status": ExitCode.VOID}
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
        except ProtocolError:
            pass  # only this client's connection ends
        except Exception:  # a client's request must not affect other clients
            traceback.print_exc()
        finally:
            close_all(fds)
            self._capacity.release()

    def answer(self, message: Message, fds: Sequence[int]) -> tuple[Message, Callable[[socket.socket], None] | None]:
        """The reply to a request, and the function that uses the connection afterwards, if any."""
        try:
            operation, arguments = self._parsed(message, fds)
            value = operation.act(arguments, fds)
        except OperationRefused as error:
            return {"error": str(error), "status": error.status}, None
        except InputError as error:
            return {"error": str(error), "status": exit_code_of(error)}, None
        except Exception as error:
            if self._debug:
                traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}", "status": exit_code_of(error)}, None
        if isinstance(value, Followed):
            return {"ok": value.value}, value.follow
        return {"ok": value}, None

    def _parsed(self, message: Message, fds: Sequence[int]) -> tuple[Operation, Request]:
        version = message.get("version")
        if version != VERSION:
            raise OperationRefused(
                f"the network has protocol version {VERSION}, this helsewan {version!r}: use the one that started it"
            )
        operation = self._operations.get(str(message.get("op")))
        if operation is None or set(message) != {"version", "op", "arguments"}:
            raise OperationRefused(f"unknown request: {str(message.get('op'))[:40]!r}")
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
        except ProtocolError:
            return False
        return True
