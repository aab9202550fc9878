"""One end of a TCP connection as a state machine without I/O: bytes in, bytes and a timer out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

CHUNK_BYTES = 65_536
MAX_BYTES = 10**9  # of one message; a peer that announces more is broken
FILLING = bytes(CHUNK_BYTES)


class ProtocolError(Exception):
    """What the peer sent breaks the protocol; the connection is of no further use."""


class End(ABC):
    """One end of a connection. Its driver passes what arrives to ``receive`` and, after that, sends what ``outgoing``
    returns until that is empty; it closes the connection once ``closing`` is set and everything is sent."""

    def __init__(self) -> None:
        self.closing = False
        self.wake_after_us: int | None = None
        """When set, the driver calls ``wake`` after that time, once; the driver resets it."""
        self._chunks: deque[bytes | Iterator[bytes]] = deque()

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Take bytes that arrived. Raises ProtocolError."""

    def end_of_input(self) -> None:
        """The peer sends no more. Raises ProtocolError where more was to come."""
        self.closing = True

    def wake(self) -> None:
        """The time asked for has passed."""
        raise AssertionError("no timer was asked for")

    def outgoing(self) -> bytes:
        """The next bytes to send, b"" when there are none for now. Large messages are made while they are sent."""
        while self._chunks:
            first = self._chunks[0]
            if isinstance(first, bytes):
                self._chunks.popleft()
                return first
            if chunk := next(first, b""):
                return chunk
            self._chunks.popleft()
        return b""

    def _send(self, data: bytes | Iterator[bytes]) -> None:
        if data:
            self._chunks.append(data)


class ClientEnd(End):
    """The end that asks. ``finished``: what was last asked for is there, in full; ``answered``: a milestone
    before that, where its protocol has one. ``received_bytes`` counts what the present request brought."""

    def __init__(self) -> None:
        super().__init__()
        self.finished = False
        self.answered = False
        self.received_bytes = 0

    def _begin(self) -> None:
        """A new request."""
        self.finished = self.answered = False
        self.received_bytes = 0

    def end_of_input(self) -> None:
        """The peer sends no more. Raises ProtocolError where it still owes something."""
        if not self.finished:
            raise ProtocolError("cut short")
        super().end_of_input()


def filling(size: int) -> Iterator[bytes]:
    """``size`` zero bytes in chunks."""
    for sent in range(0, size, CHUNK_BYTES):
        yield FILLING[: min(CHUNK_BYTES, size - sent)]
