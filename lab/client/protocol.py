"""The protocol between a running lab and its clients: JSON objects, with descriptors, over a unix socket.

A SOCK_SEQPACKET socket keeps packets whole. A message is one or more of them: a byte that says whether more follow,
then a piece of the JSON; descriptors travel with the first. The receiver sets a size limit and a deadline.

A client sends one request, ``{"version": 1, "op": NAME, "arguments": {…}}``, and gets ``{"ok": VALUE}`` or
``{"error": TEXT, "status": EXIT_CODE}``. Where a command was started, ``{"signal": NUMBER}`` may follow from the
client, and ``{"exit": STATUS}`` comes at its end.
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
MAX_FDS = 4  # standard input, output and error; one to spare, so that too many are noticed
_PIECE_BYTES = 32 * 1024
_MORE, _LAST = b"+", b"."

Message = dict[str, Any]


class WireError(Exception):
    """The peer broke the protocol, was too slow, or is gone; the message says which."""


def send(sock: socket.socket, message: Message, fds: Sequence[int] = (), deadline_s: float = math.inf) -> None:
    """Send one message. Raises WireError when the peer is gone or does not take it in time."""
    body = json.dumps(message, separators=(",", ":")).encode()
    until = time.monotonic() + deadline_s
    pieces = [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)]
    try:
        for number, piece in enumerate(pieces, start=1):
            _wait_until(sock, until)
            mark = _LAST if number == len(pieces) else _MORE
            socket.send_fds(sock, [mark, piece], list(fds) if number == 1 else [])
    except TimeoutError:
        raise WireError("the peer does not read") from None
    except OSError as error:
        raise WireError(f"the peer is gone: {error.strerror}") from error


def receive(sock: socket.socket, limit_bytes: int, deadline_s: float = math.inf) -> tuple[Message, list[int]]:
    """The next message and its descriptors, which are the caller's to close.

    Raises WireError for what is no message, longer than ``limit_bytes``, or not whole by the deadline."""
    body, fds = bytearray(), list[int]()
    until = time.monotonic() + deadline_s
    try:
        while True:
            _wait_until(sock, until)
            packet, more_fds, flags, _ = socket.recv_fds(sock, 1 + _PIECE_BYTES, MAX_FDS)
            fds += more_fds
            if not packet:
                raise WireError("the peer is gone")
            if packet[:1] not in (_MORE, _LAST) or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise WireError("what came is no piece of a message")
            body += packet[1:]
            if len(body) > limit_bytes or len(fds) > MAX_FDS:
                raise WireError(f"a message of more than {limit_bytes} bytes or {MAX_FDS} descriptors")
            if packet[:1] == _LAST:
                return _parsed(bytes(body)), fds
    except (WireError, OSError) as error:
        close_all(fds)
        if isinstance(error, TimeoutError):
            raise WireError("no whole message in time") from None
        raise error if isinstance(error, WireError) else WireError(f"the peer is gone: {error.strerror}") from error


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that came with a message."""
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
        raise WireError("what came is no JSON") from None
    if not isinstance(message, dict):
        raise WireError("what came is no JSON object")
    return message
