"""HTTP over a listening socket: uvicorn, with bounds, and with the user id of who asks over a unix one."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CLIENTS = 64
HEADERS_LIMIT_BYTES = 16 << 10
IDLE_S = 10.0  # a connection on which nothing is asked
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)


class _Connection(H11Protocol):
    """A client's connection. The application finds in its state: ``uid`` of a local peer, and ``abort``, which lets go
    of what waits for a peer that does not read."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        state: dict[str, Any] = {**self.app_state, "abort": transport.abort}
        if peer.family == socket.AF_UNIX:
            _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            state["uid"] = outside(uid)
        self.app_state = state
        asyncio.get_running_loop().call_later(IDLE_S, self._leave_if_silent)

    def _leave_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


def outside(uid: int) -> int:
    """A user id as the machine has it, where a user namespace has its own (user_namespaces(7))."""
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        inner, outer, count = map(int, line.split())
        if inner <= uid < inner + count:
            return outer + uid - inner
    return uid


def server(app: Any) -> uvicorn.Server:
    """A server of ``app``; its ``run`` takes listening sockets, and returns when the process is told to end."""
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_level="warning",
        access_log=False,  # the audit log says who changed what; tokens are in no log
        server_header=False,
        limit_concurrency=MOST_CLIENTS,
        h11_max_incomplete_event_size=HEADERS_LIMIT_BYTES,
        timeout_keep_alive=int(IDLE_S),
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
