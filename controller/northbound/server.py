"""HTTP on a listening socket: uvicorn with limits, and with the user id of the peer on a unix socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CLIENTS = 64
HEADERS_LIMIT_BYTES = 16 << 10
IDLE_S = 10.0  # until a connection without a request is closed
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)


class _Connection(H11Protocol):
    """A client's connection. It sets in the ASGI state: ``uid`` of a local peer, and ``abort``, which closes the
    connection and drops unsent data."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        state: dict[str, Any] = {**self.app_state, "abort": transport.abort}
        if peer.family == socket.AF_UNIX:
            _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            state["uid"] = host_uid(uid)
        self.app_state = state
        asyncio.get_running_loop().call_later(IDLE_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


def host_uid(uid: int) -> int:
    """Maps a user id of this process's user namespace to the parent namespace (user_namespaces(7))."""
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        inner, outer, count = map(int, line.split())
        if inner <= uid < inner + count:
            return outer + uid - inner
    return uid


def server(app: Any) -> uvicorn.Server:
    """A server of ``app``; its ``run`` takes listening sockets, and returns after SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_level="warning",
        access_log=False,  # the audit log records changes; tokens must not be logged
        server_header=False,
        limit_concurrency=MAX_CLIENTS,
        h11_max_incomplete_event_size=HEADERS_LIMIT_BYTES,
        timeout_keep_alive=int(IDLE_S),
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
