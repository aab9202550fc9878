"""The controller's narrow door for the northbound server: a unix socket of mode 0600, JSON lines both ways.

Few may be in at a time and each asks one thing at a time, so whatever goes on outside, the controller's queue gets a
handful of entries from here at most.
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

MOST_VISITORS = 8
REQUEST_LIMIT_BYTES = 1 << 20


class ControlServer:
    """Answers who comes to the socket at ``path`` with ``control_api``."""

    def __init__(self, path: Path, control_api: ControlApi, on_fault: Callable[[BaseException], None]) -> None:
        """Raises OSError where the socket cannot be made."""
        path.unlink(missing_ok=True)
        self._control_api, self._on_fault = control_api, on_fault
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # the socket's mode is 0600 from the start
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        self._listener.listen(MOST_VISITORS)
        self._visitors = 0

    def serve(self) -> None:
        """Lets visitors in, for ever."""
        while True:
            connection, _ = self._listener.accept()
            if self._visitors >= MOST_VISITORS:
                connection.close()
                continue
            self._visitors += 1
            spawn(partial(self._attend, connection), self._on_fault)

    def _attend(self, connection: socket.socket) -> None:
        """One visitor, until it leaves; one that sends what is no request is shown out."""
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
            self._visitors -= 1

    def _reply(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": self._control_api.answer(request)}
        except Busy as busy:
            return {"busy": str(busy)}
        except RequestRefused as refused:
            return {"error": str(refused)}
        except Exception as error:  # what is asked may break no more than the answer
            return {"error": f"{type(error).__name__}: {error}"}
