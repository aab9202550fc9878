"""The protocol between a running lab and its clients: JSON objects, with descriptors, over a unix socket.

A SOCK_SEQPACKET socket preserves packet boundaries. A message consists of one or more packets: a byte that tells
whether more follow, then a part of the JSON; descriptors are attached to the first. The receiver sets a size limit and
a deadline.

A client sends one request, ``{"version": 1, "op": NAME, "arguments": {…}}``, and receives ``{"ok": VALUE}`` or
``{"error": TEXT, "status": EXIT_CODE}``. After it has started a command, it may send ``{"signal": NUMBER}``, and it
receives ``{"exit": STATUS}`` when the command has ended.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

VERSION = 1
REQUEST_LIMIT_BYTES = 4 * 1024 * 1024  # a command with its environment: beyond ARG_MAX (2 MiB) the kernel refuses it
REPLY_LIMIT_BYTES = 64 * 1024 * 1024
MAX_FDS = 4  # standard input, output and error, and one more, so that too many are detected
_PIECE_BYTES = 32 * 1024
_MORE, _LAST = b"+", b"."

Message = dict[str, Any]


class ProtocolError(Exception):
    """The peer violated the protocol, missed a deadline, or closed the connection; the message says which."""


def send(sock: socket.socket, message: Message, fds: Sequence[int] = (), deadline_s: float = math.inf) -> None:
    """Send one message. Raises ProtocolError when the peer has closed the connection or does not receive it in time."""
    body = json.dumps(message, separators=(",", ":")).encode()
    until = time.monotonic() + deadline_s
    pieces = [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)]
    try:
        for number, piece in enumerate(pieces, start=1):
            _wait_until(sock, until)
            mark = _LAST if number == len(pieces) else _MORE
            socket.send_fds(sock, [mark, piece], list(fds) if number == 1 else [])
    except TimeoutError:
        raise ProtocolError("the peer does not read") from None
    except OSError as error:
        raise ProtocolError(f"the connection failed: {error.strerror}") from error


def receive(sock: socket.socket, limit_bytes: int, deadline_s: float = math.inf) -> tuple[Message, list[int]]:
    """The next message and its descriptors, which the caller must close.

    Raises ProtocolError for an invalid message, one longer than ``limit_bytes``, or one incomplete at the deadline."""
    body, fds = bytearray(), list[int]()
    until = time.monotonic() + deadline_s
    try:
        while True:
            _wait_until(sock, until)
            packet, more_fds, flags, _ = socket.recv_fds(sock, 1 + _PIECE_BYTES, MAX_FDS)
            fds += more_fds
            if not packet:
                raise ProtocolError("the peer closed the connection")
            if packet[:1] not in (_MORE, _LAST) or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ProtocolError("the packet is no part of a message")
            body += packet[1:]
            if len(body) > limit_bytes or len(fds) > MAX_FDS:
                raise ProtocolError(f"a message of more than {limit_bytes} bytes or {MAX_FDS} descriptors")
            if packet[:1] == _LAST:
                return _parsed(bytes(body)), fds
    except (ProtocolError, OSError) as error:
        close_all(fds)
        if isinstance(error, TimeoutError):
            raise ProtocolError("no complete message in time") from None
        raise (
            error if isinstance(error, ProtocolError) else ProtocolError(f"the connection failed: {error.strerror}")
        ) from error


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors received with a message."""
    for fd in fds:
        with suppress(OSError):
            os.close(fd)


def _wait_until(sock: socket.socket, until: float) -> None:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    sock.settimeout(None if math.isinf(left_s) else left_s)


def _parsed(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise ProtocolError("the message is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("the message is no JSON object")
    return message
