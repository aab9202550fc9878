"""Splits one connection's bytes into OpenFlow messages and enforces limits on their size and rate.

Pure: bytes and times of any one clock in, whole messages out. What comes too fast is not refused but read later, so
that TCP slows its sender down; others are not kept waiting for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_HEADER = struct.Struct("!BBHI")  # version, type, length, xid (OpenFlow 1.3.5, 7.1)
_HELLO = 0
_VERSION = 4  # OpenFlow 1.3

TIMEOUT_S = 30.0  # to get through both handshakes, and for a message once it has begun: minutes are for attackers
HANDSHAKE_BYTES = 1 << 20  # as many as the descriptions of 16,000 ports take
BYTES_PER_TOKEN = 1024  # a message costs 1, and 1 for each so many bytes of it
TOKENS_PER_S = 2_000.0  # of a core in Python, a message takes some 0.1 ms
BURST_TOKENS = 20_000.0  # a switch that is asked for all it holds may answer at once


class MessageRefused(ConnectionError):
    """The peer violates the protocol or a limit; the message says how."""


@dataclass
class MessageReader:
    """What one connection has sent since ``began``."""

    began: float
    established: bool = False  # through the handshake
    _buffer: bytearray = field(default_factory=bytearray)
    _greeted: bool = False
    _bytes: int = 0
    _message_began: float | None = None
    _credit: float = BURST_TOKENS
    _credited: float = 0.0

    @property
    def deadline(self) -> float | None:
        """By when more must come, if it must."""
        since = self._message_began if self.established else self.began
        return None if since is None else since + TIMEOUT_S

    def take(self, data: bytes, now: float) -> bytes:
        """The messages that ``data`` completes. Raises Refused for what is no OpenFlow 1.3, or too much before the
        handshake is done."""
        self._buffer += data
        self._bytes += len(data)
        if not self.established and self._bytes > HANDSHAKE_BYTES:
            raise MessageRefused(f"sent more than {HANDSHAKE_BYTES} bytes before it was through the handshake")
        end, messages = self._whole()
        whole = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._charge(messages + end / BYTES_PER_TOKEN, now)
        if not self._buffer:
            self._message_began = None
        elif end or self._message_began is None:
            self._message_began = now
        return whole

    def pause_s(self) -> float:
        """How long not to read on."""
        return max(0.0, -self._credit / TOKENS_PER_S)

    def check(self, now: float) -> None:
        """Raises Refused when the deadline has passed."""
        if self.deadline is not None and now >= self.deadline:
            what = "a message was not complete" if self.established else "it was not through the handshake"
            raise MessageRefused(f"{what} within {TIMEOUT_S:g} s")

    def _whole(self) -> tuple[int, int]:
        """Where the last whole message ends, and how many there are."""
        at = messages = 0
        while len(self._buffer) - at >= _HEADER.size:
            version, kind, length, _ = _HEADER.unpack_from(self._buffer, at)
            self._check_header(version, kind, length)
            if len(self._buffer) - at < length:
                break
            self._greeted = True
            at += length
            messages += 1
        return at, messages

    def _check_header(self, version: int, kind: int, length: int) -> None:
        if length < _HEADER.size:
            raise MessageRefused(f"sent a message of length {length}")
        if not self._greeted and kind != _HELLO:
            raise MessageRefused(f"began with a message of type {kind}, not with hello")
        if self._greeted and version != _VERSION:
            raise MessageRefused(f"sent a message of version {version}, agreed was {_VERSION}")

    def _charge(self, costs: float, now: float) -> None:
        earned = (now - self._credited) * TOKENS_PER_S if self._credited else 0.0
        self._credit = min(BURST_TOKENS, self._credit + earned) - costs
        self._credited = now
