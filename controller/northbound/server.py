"""HTTP on a listening socket: uvicorn with limits, and with the user id of the peer on a unix socket.

Connections that have shown no token are limited apart from those that have: whoever may connect, but has no token,
takes no place from those who do.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CLIENTS = 64  # connections that have shown a token
MAX_UNKNOWN = 32  # others; one more closes the oldest of them
HEADERS_LIMIT_BYTES = 16 << 10
IDLE_S = 10.0  # until a connection without a request is closed
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)


class Places:
    """The connections of a server, those that have not shown a token yet in the order in which they came."""

    def __init__(self) -> None:
        self.unknown: dict[_Connection, None] = {}
        self.known: set[_Connection] = set()

    def arrive(self, connection: _Connection) -> None:
        """Count a new connection; close the oldest that has shown no token where there are too many."""
        self.unknown[connection] = None
        if len(self.unknown) > MAX_UNKNOWN:
            oldest = next(iter(self.unknown))
            del self.unknown[oldest]
            oldest.transport.abort()

    def admit(self, connection: _Connection) -> bool:
        """Count a connection that has shown a token; whether there is a place for it."""
        if connection not in self.known:
            if len(self.known) >= MAX_CLIENTS:
                return False
            self.unknown.pop(connection, None)
            self.known.add(connection)
        return True

    def leave(self, connection: _Connection) -> None:
        """Count a connection no longer."""
        self.unknown.pop(connection, None)
        self.known.discard(connection)


class _Connection(H11Protocol):
    """A client's connection. It sets in the ASGI state: ``uid`` of a local peer, ``abort``, which closes the connection
    and drops unsent data, and ``admit``, which gives a client with a token a place, or returns that there is none."""

    places: Places

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        state: dict[str, Any] = {**self.app_state, "abort": transport.abort}
        state["admit"] = partial(self.places.admit, self)
        if peer.family == socket.AF_UNIX:
            _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            state["uid"] = host_uid(uid)
        self.app_state = state
        self.places.arrive(self)
        asyncio.get_running_loop().call_later(IDLE_S, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self.places.leave(self)
        super().connection_lost(exc)

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
        http=type("Connection", (_Connection,), {"places": Places()}),  # of this server alone
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_level="warning",
        access_log=False,  # the audit log records changes; tokens must not be logged
        server_header=False,
        h11_max_incomplete_event_size=HEADERS_LIMIT_BYTES,
        timeout_keep_alive=int(IDLE_S),
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
