"""Backlog and drops of the packet sockets of a namespace, through which a router receives frames.

Read with sock_diag(7) (linux/packet_diag.h); /proc/net/packet does not contain drops.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from helsewan.emulation.sandbox.namespaces import Namespace

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST_DUMP = 0x301
_PACKET_SHOW_MEMINFO = 0x10
_PACKET_DIAG_MEMINFO = 6
_RMEM_ALLOC, _DROPS = 0, 8  # words of SK_MEMINFO (linux/sock_diag.h)
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_MESSAGE_BYTES = 16  # packet_diag_msg
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST = _HEADER.pack(36, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0) + struct.pack(
    "=BBHIIII", socket.AF_PACKET, 0, 0, 0, _PACKET_SHOW_MEMINFO, 0xFFFFFFFF, 0xFFFFFFFF
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be forwarded: bytes in packet sockets, or frames in rings; and the frames dropped because a socket
    was full."""

    waiting: int
    drops: int = 0


class FrameQueue(Protocol):
    """The queues from which a thread gets its frames."""

    def backlog(self) -> Backlog | None:
        """The current backlog; None where it cannot be told."""


class PacketSockets:
    """The packet sockets of ``namespace``."""

    def __init__(self, namespace: Namespace) -> None:
        self._socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        self._socket.setblocking(False)  # the reply is available once send() returns

    def backlog(self) -> Backlog | None:
        """The current backlog; None where the kernel does not support it (no packet_diag)."""
        waiting = drops = 0
        self._socket.send(_REQUEST)
        while True:
            for kind, body in messages(self._socket.recv(65_536)):
                if kind == _NLMSG_ERROR:
                    return None
                if kind == _NLMSG_DONE:
                    return Backlog(waiting, drops)
                words = meminfo(body)
                waiting, drops = waiting + words[_RMEM_ALLOC], drops + words[_DROPS]

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of every netlink message in ``data``."""
    at = 0
    while at < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def meminfo(body: bytes) -> tuple[int, ...]:
    """The memory counters (SK_MEMINFO) in one socket's message; zeros when it has none."""
    at = _MESSAGE_BYTES
    while at < len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if kind == _PACKET_DIAG_MEMINFO:
            return struct.unpack_from(f"={(length - _ATTRIBUTE.size) // 4}I", body, at + _ATTRIBUTE.size)
        at += (length + 3) & ~3
    return (0,) * (_DROPS + 1)
