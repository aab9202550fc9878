"""The back end of a vhost-user conversation, as a switch has it: it connects to a port's socket and takes messages."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import NamedTuple

HEADER = struct.Struct("=III")
VERSION_1 = 1 << 32
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL = 12, 13


class Message(NamedTuple):
    """A message from the front end."""

    request: int
    payload: bytes
    fds: list[int]


class VhostDevice:
    """Connected to the port whose socket is at ``path``, or a given socket."""

    def __init__(self, path: Path | None = None, sock: socket.socket | None = None) -> None:
        self.socket = sock or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        if path is not None:
            self.socket.connect(str(path))

    def receive(self) -> Message:
        """The next message."""
        head, fds, _, _ = socket.recv_fds(self.socket, HEADER.size, 8)
        request, flags, length = HEADER.unpack(head)
        assert flags == 1
        payload = b""
        while len(payload) < length:
            payload += self.socket.recv(length - len(payload))
        return Message(request, payload, list(fds))

    def reply(self, request: int, payload: bytes, flags: int = 5) -> None:
        """Reply to a request."""
        self.socket.sendall(HEADER.pack(request, flags, len(payload)) + payload)

    def begin(self, features: int = VERSION_1) -> Message:
        """Take the first messages of a conversation; returns the one with the memory."""
        assert self.receive().request == SET_OWNER
        assert self.receive().request == GET_FEATURES
        self.reply(GET_FEATURES, struct.pack("=Q", features))
        assert self.receive() == Message(SET_FEATURES, struct.pack("=Q", VERSION_1), [])
        table = self.receive()
        assert table.request == SET_MEM_TABLE
        return table

    def queues(self) -> list[Message]:
        """Take the messages that start both queues."""
        return [self.receive() for _ in range(10)]

    def stop(self) -> None:
        """Take the messages that stop both queues, and reply."""
        for queue in range(2):
            message = self.receive()
            assert message.request == GET_VRING_BASE
            self.reply(GET_VRING_BASE, struct.pack("=II", queue, 7))
