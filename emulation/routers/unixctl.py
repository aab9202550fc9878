"""Commands to a daemon of Open vSwitch over its control socket (ovs-appctl(8)), without a process for each."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_DEADLINE_S = 10.0
_PART_BYTES = 1 << 16


class UnixctlError(RuntimeError):
    """The daemon refused the command, or does not answer."""


def command(path: Path, name: str, *arguments: str) -> str:
    """The output of command ``name``, asked for on the control socket at ``path`` (JSON-RPC 1.0). Raises
    UnixctlError."""
    return commands(path, [(name, *arguments)])[0]


def commands(path: Path, asked: Sequence[Sequence[str]], deadline_s: float = _DEADLINE_S) -> list[str]:
    """The outputs of commands, each a name with arguments, which the daemon gets at once. Raises UnixctlError where one
    was refused, or the daemon does not answer in time."""
    requests = ({"id": number, "method": name, "params": rest} for number, (name, *rest) in enumerate(asked))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(deadline_s)
            sock.connect(str(path))
            sock.sendall("".join(map(json.dumps, requests)).encode())
            replies = _replies(sock, len(asked))
    except OSError as error:
        raise UnixctlError(f"{asked[0][0]}: {path.name}: {error}") from error
    return [_result(name, reply) for (name, *_), reply in zip(asked, replies, strict=True)]


def _replies(sock: socket.socket, count: int) -> list[dict[str, Any]]:
    """So many replies, in their order."""
    received, decoder = "", json.JSONDecoder()
    replies: list[dict[str, Any]] = []
    while len(replies) < count:
        part = sock.recv(_PART_BYTES)
        if not part:
            raise ConnectionError("ended without a reply")
        received += part.decode()
        while len(replies) < count:
            try:
                reply, end = decoder.raw_decode(received)
            except ValueError:  # not complete yet
                break
            replies.append(reply)
            received = received[end:]
    return replies


def _result(name: str, reply: dict[str, Any]) -> str:
    if reply["error"] is not None:
        raise UnixctlError(f"{name}: {str(reply['error']).strip()}")
    return str(reply["result"])
