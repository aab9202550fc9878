"""Captures for clients of a running lab, written to the client's file until the client ends them."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from helsewan.emulation.links.capture import SNAP_BYTES, Capture
from helsewan.emulation.links.engine import EngineError
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import Direction
from helsewan.lab.client.protocol import ProtocolError, receive, send
from helsewan.lab.client.request import Request
from helsewan.lab.links.link_names import link_named
from helsewan.lab.server.control_socket import Followed, OperationRefused

_POLL_S = 0.1
_STOP_LIMIT_BYTES = 1024


class CaptureRequest(Request):
    """Capture the link that ``line`` names, in ``direction`` or (None) both, to the descriptor sent with the
    request."""

    line: str
    direction: Direction | None = None
    snap_bytes: Annotated[int, Field(ge=64, le=SNAP_BYTES)] = SNAP_BYTES


def start_capture(backend: EngineBackend, request: CaptureRequest, fds: Sequence[int]) -> Followed:
    """Start the capture; it ends when the client sends anything or disconnects, or when its file cannot be written."""
    name = link_named(request.line, backend.links)
    try:
        file = Path(f"/proc/self/fd/{fds[0]}")
        capture = backend.capture(name, request.direction, file, request.snap_bytes)
    except (EngineError, OSError) as error:
        raise OperationRefused(f"{name} cannot be captured: {error}") from error
    return Followed({"line": name}, lambda connection: _until_stopped(capture, connection))


def _until_stopped(capture: Capture, connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while capture.failure is None and not poll.poll(_POLL_S * 1000):
        pass
    if capture.failure is None:
        with suppress(ProtocolError):
            receive(connection, _STOP_LIMIT_BYTES)  # any message, or the end of the connection
    counts = capture.stop()
    frames, missed = sum(count.frames for count in counts), sum(count.missed for count in counts)
    with suppress(ProtocolError):
        failure = capture.failure and capture.failure.rpartition(": ")[2]
        send(connection, {"frames": frames, "missed": missed, "failure": failure})
