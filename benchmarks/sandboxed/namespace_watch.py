"""Waits until the kernel has removed certain network namespaces, whatever other programs create and remove meanwhile.

The kernel tells a namespace when another one that has an id in it begins to be removed (RTM_DELNSID, rtnetlink(7)). It
removes namespaces in one queue, so one that is given up then begins to be removed when all before it are gone.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

from helsewan.emulation.sandbox.namespaces import Namespace

_RTM_NEWNSID, _RTM_DELNSID = 88, 89
_ERROR = 2  # NLMSG_ERROR, also the acknowledgement
_FLAGS = 0x01 | 0x04  # NLM_F_REQUEST, NLM_F_ACK
_NSID, _FD = 1, 3  # attributes
_GROUP = 1 << (28 - 1)  # RTNLGRP_NSID
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 1 << 26  # a notification takes about 1 KB of it, and all namespaces may end at once
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


class NamespaceWatch:
    """Watches network namespaces from a namespace of its own. Needs root."""

    def __init__(self) -> None:
        self._namespace = Namespace()
        self._socket = self._namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.bind((0, _GROUP))
        self._present: set[int] = set()  # ids
        self._next = 0

    def __enter__(self) -> NamespaceWatch:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._socket.close()
        self._namespace.close()

    def add(self, paths: Iterable[Path]) -> None:
        """Watch the namespaces of ``paths``, files such as /proc/PID/ns/net. Raises OSError."""
        for path in paths:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._name(fd)
            finally:
                os.close(fd)

    def wait(self, timeout_s: float) -> None:
        """Wait until all of them are gone. Raises TimeoutError when, for so long, no further one is."""
        self._socket.settimeout(timeout_s)
        self._receive()
        with closing(Namespace()) as last:
            self._name(last.fd)
        self._receive()

    def _name(self, fd: int) -> None:
        """Give the namespace of a descriptor an id here."""
        number, self._next = self._next, self._next + 1
        body = bytes(4) + struct.pack("=HHiHHi", 8, _NSID, number, 8, _FD, fd)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), _RTM_NEWNSID, _FLAGS, 0, 0) + body)
        self._present.add(number)
        while not self._handle(self._socket.recv(65_536)):
            pass

    def _receive(self) -> None:
        while self._present:
            self._handle(self._socket.recv(65_536))

    def _handle(self, data: bytes) -> bool:
        """Take in a datagram of messages; whether there is an acknowledgement. Raises OSError for a refusal."""
        acknowledged = False
        while data:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _ERROR:
                (error,) = struct.unpack_from("=i", data, _HEADER.size)
                if error:
                    raise OSError(-error, f"watch network namespace: {os.strerror(-error)}")
                acknowledged = True
            elif kind == _RTM_DELNSID:
                self._present.discard(_id(data[_HEADER.size + 4 : length]))
            data = data[(length + 3) & ~3 :]
        return acknowledged


def _id(attributes: bytes) -> int:
    """The namespace's id in a message's attributes."""
    while attributes:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _NSID:
            return int(struct.unpack_from("=i", attributes, _ATTRIBUTE.size)[0])
        attributes = attributes[(length + 3) & ~3 :]
    raise ValueError("a message without a namespace id")


def namespaces_of(processes: Sequence[int]) -> list[Path]:
    """A file of each network namespace that ``processes`` are in or hold open."""
    found: dict[str, Path] = {}
    for process in processes:
        for path in (Path(f"/proc/{process}/ns/net"), *Path(f"/proc/{process}/fd").iterdir()):
            try:
                target = os.readlink(path)
            except OSError:  # closed meanwhile
                continue
            if target.startswith("net:["):
                found.setdefault(target, path)
    found.pop(os.readlink("/proc/self/ns/net"), None)
    return list(found.values())
