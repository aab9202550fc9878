"""Receive buffers of sockets: large ones, and what was dropped because one was full."""

from __future__ import annotations

import socket
import sys

BUFFER_BYTES = 4 << 20  # holds what arrives while the reader is delayed
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55  # not in the socket module (asm-generic/socket.h)
_DROPS = 8  # place among the 32-bit numbers of SO_MEMINFO (linux/sock_diag.h)


def enlarge_buffer(opened: socket.socket) -> None:
    """Make a socket's receive buffer large, as far as this user is permitted."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:  # limited by net.core.rmem_max then
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


def dropped_by(opened: socket.socket) -> int:
    """Datagrams dropped so far because the socket was full."""
    counts = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_DROPS + 1))
    return int.from_bytes(counts[4 * _DROPS :], sys.byteorder)
