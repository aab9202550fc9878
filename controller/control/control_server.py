"""The control socket for the northbound server: a unix socket of mode 0600, JSON lines in both directions.

At most MAX_CLIENTS connections are open, each with one request at a time, which bounds the entries that it adds to the
controller's queue.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from helsewan.controller.control.control_api import Busy, ControlApi, RequestRefused
from helsewan.controller.framework import spawn

MAX_CLIENTS = 8
REQUEST_LIMIT_BYTES = 1 << 20


class ControlServer:
    """Serves ``control_api`` on a socket at ``path``; exceptions of its threads go to ``on_fault``."""

    def __init__(self, path: Path, control_api: ControlApi, on_fault: Callable[[BaseException], None]) -> None:
        """Raises OSError where the socket cannot be created."""
        path.unlink(missing_ok=True)
        self._control_api, self._on_fault = control_api, on_fault
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o177)  # the socket has mode 0600 from the start
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(previous)
        self._listener.listen(MAX_CLIENTS)
        self._clients = 0

    def serve(self) -> None:
        """Accepts clients. Does not return."""
        while True:
            connection, _ = self._listener.accept()
            if self._clients >= MAX_CLIENTS:
                connection.close()
                continue
            self._clients += 1
            spawn(partial(self._serve_client, connection), self._on_fault)

    def _serve_client(self, connection: socket.socket) -> None:
        """Answers one client until it closes the connection, or sends a line that is no JSON object."""
        try:
            with connection, connection.makefile("rb") as requests:
                while line := requests.readline(REQUEST_LIMIT_BYTES):
                    request = json.loads(line)
                    if not isinstance(request, dict):
                        return
                    connection.sendall(json.dumps(self._reply(request)).encode() + b"\n")
        except (OSError, ValueError):
            pass
        finally:
            self._clients -= 1

    def _reply(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": self._control_api.answer(request)}
        except Busy as busy:
            return {"busy": str(busy)}
        except RequestRefused as refused:
            return {"error": str(refused)}
        except Exception as error:  # a wrong argument may only fail its own request
            return {"error": f"{type(error).__name__}: {error}"}
