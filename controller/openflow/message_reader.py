"""Splits one connection's bytes into OpenFlow messages and enforces limits on their size and rate.

Pure: bytes and times (seconds of one clock) in, complete messages out. Messages above the rate limit are not rejected
but read later, so that TCP flow control slows the sender down, without effect on other connections.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_HEADER = struct.Struct("!BBHI")  # version, type, length, xid (OpenFlow 1.3.5, 7.1)
_HELLO = 0
_VERSION = 4  # OpenFlow 1.3

TIMEOUT_S = 30.0  # for the TLS and OpenFlow handshakes together, and for the completion of a message
HANDSHAKE_BYTES = 1 << 20  # the port descriptions of 16,000 ports
BYTES_PER_TOKEN = 1024  # a message takes 1 token, and 1 for each so many bytes
TOKENS_PER_S = 2_000.0  # Python takes some 0.1 ms a message, so 20 % of a core
BURST_TOKENS = 20_000.0  # the reply of a switch to a request for all its entries


class MessageRefused(ConnectionError):
    """The peer violates the protocol or a limit; the text describes how."""


@dataclass
class MessageReader:
    """The bytes of one connection, opened at ``began`` (seconds), with a token bucket as rate limit."""

    began: float
    established: bool = False  # the handshakes are complete
    _buffer: bytearray = field(default_factory=bytearray)
    _hello_received: bool = False
    _bytes: int = 0
    _message_began: float | None = None
    _tokens: float = BURST_TOKENS
    _refilled: float = 0.0  # time of the last refill

    @property
    def deadline(self) -> float | None:
        """Time by which more bytes must arrive; None if the peer may stay silent."""
        since = self._message_began if self.established else self.began
        return None if since is None else since + TIMEOUT_S

    def take(self, data: bytes, now: float) -> bytes:
        """Adds received ``data``, and returns the messages that are now complete.

        Raises MessageRefused for data that is not OpenFlow 1.3, and for too many bytes before the end of the
        handshake."""
        self._buffer += data
        self._bytes += len(data)
        if not self.established and self._bytes > HANDSHAKE_BYTES:
            raise MessageRefused(f"sent more than {HANDSHAKE_BYTES} bytes before it was through the handshake")
        end, messages = self._scan()
        complete = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._charge(messages + end / BYTES_PER_TOKEN, now)
        if not self._buffer:
            self._message_began = None
        elif end or self._message_began is None:
            self._message_began = now
        return complete

    def pause_s(self) -> float:
        """Time in seconds for which to read no more from the connection."""
        return max(0.0, -self._tokens / TOKENS_PER_S)

    def check(self, now: float) -> None:
        """Raises MessageRefused if the deadline has passed."""
        if self.deadline is not None and now >= self.deadline:
            what = "a message was not complete" if self.established else "it was not through the handshake"
            raise MessageRefused(f"{what} within {TIMEOUT_S:g} s")

    def _scan(self) -> tuple[int, int]:
        """(end of the last complete message in bytes, number of complete messages)."""
        at = messages = 0
        while len(self._buffer) - at >= _HEADER.size:
            version, kind, length, _ = _HEADER.unpack_from(self._buffer, at)
            self._check_header(version, kind, length)
            if len(self._buffer) - at < length:
                break
            self._hello_received = True
            at += length
            messages += 1
        return at, messages

    def _check_header(self, version: int, kind: int, length: int) -> None:
        if length < _HEADER.size:
            raise MessageRefused(f"sent a message of length {length}")
        if not self._hello_received and kind != _HELLO:
            raise MessageRefused(f"began with a message of type {kind}, not with hello")
        if self._hello_received and version != _VERSION:
            raise MessageRefused(f"sent a message of version {version}, agreed was {_VERSION}")

    def _charge(self, tokens: float, now: float) -> None:
        """Refills the token bucket up to ``now`` and takes ``tokens``, possibly below zero."""
        refill = (now - self._refilled) * TOKENS_PER_S if self._refilled else 0.0
        self._tokens = min(BURST_TOKENS, self._tokens + refill) - tokens
        self._refilled = now
