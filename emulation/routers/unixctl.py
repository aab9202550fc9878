"""Commands to a daemon of Open vSwitch over its control socket (ovs-appctl(8)), without a process for each."""

from __future__ import annotations

import json
import socket
from pathlib import Path

_DEADLINE_S = 10.0
_PART_BYTES = 1 << 16


class UnixctlError(RuntimeError):
    """The daemon refused the command, or does not answer."""


def command(path: Path, name: str, *arguments: str) -> str:
    """The output of command ``name``, asked for on the control socket at ``path`` (JSON-RPC 1.0). Raises
    UnixctlError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_DEADLINE_S)
            sock.connect(str(path))
            sock.sendall(json.dumps({"id": 0, "method": name, "params": arguments}).encode())
            received, decoder = "", json.JSONDecoder()
            while part := sock.recv(_PART_BYTES):
                received += part.decode()
                try:
                    reply, _ = decoder.raw_decode(received)
                except ValueError:  # not complete yet
                    continue
                if reply["error"] is not None:
                    raise UnixctlError(f"{name}: {str(reply['error']).strip()}")
                return str(reply["result"])
    except OSError as error:
        raise UnixctlError(f"{name}: {path.name}: {error}") from error
    raise UnixctlError(f"{name}: {path.name}: ended without a reply")
