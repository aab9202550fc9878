"""Messages between the link engine's process and its client: JSON, with descriptors attached.

The socket is a stream socket, so that a change of any number of links fits in one message: four bytes of length
(big-endian), then the JSON. Descriptors are attached to the length.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

MAX_FDS = 253  # SCM_MAX_FD: what the kernel passes with one message
_LENGTH_BYTES = 4


def send_message(sock: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message and up to MAX_FDS descriptors."""
    body = json.dumps(message, separators=(",", ":")).encode()
    length = len(body).to_bytes(_LENGTH_BYTES, "big")
    if fds:
        socket.send_fds(sock, [length], list(fds))
        sock.sendall(body)
    else:
        sock.sendall(length + body)


def receive_message(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, which the caller must close; None when the peer has closed the socket."""
    try:
        length, fds, _, _ = socket.recv_fds(sock, _LENGTH_BYTES, MAX_FDS)
        if not length:
            return None
        if len(length) < _LENGTH_BYTES:
            length += _receive(sock, _LENGTH_BYTES - len(length))
        return json.loads(_receive(sock, int.from_bytes(length, "big"))), fds
    except (EOFError, ConnectionError):
        return None


def _receive(sock: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if count == 0:
            raise EOFError("the peer closed the connection within a message")
        view = view[count:]
    return bytes(data)
