"""A remote desktop's pattern of traffic: small packets of input up, changes of the screen down, on one kept connection.

Packets are framed by TPKT (RFC 2126, 4.3), as RDP does it: version 3, a reserved octet, the length in 16 bits. An input
says how large the change of the screen is that answers it; that comes in as many packets as it takes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from helsewan.lab.applications.tcp.end import ClientEnd, End, ProtocolError

_TPKT = struct.Struct("!BBH")
_INPUT = struct.Struct("!II")  # number, bytes of the update that answers it
_UPDATE = struct.Struct("!II")  # number of the input, bytes that still follow
VERSION = 3
PACKET_BYTES = 16_384
LEAST_BYTES = _TPKT.size + _INPUT.size
MAX_UPDATE_BYTES = 50_000_000


class TpktReader:
    """Cuts a stream of bytes into packets' contents."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The contents of the packets that are complete with ``data``. Raises ProtocolError."""
        self._buffer += data
        found, at = [], 0
        while len(self._buffer) - at >= _TPKT.size:
            version, _, length = _TPKT.unpack_from(self._buffer, at)
            if version != VERSION or length < _TPKT.size:
                raise ProtocolError("no TPKT packet")
            if len(self._buffer) - at < length:
                break
            found.append(bytes(self._buffer[at + _TPKT.size : at + length]))
            at += length
        del self._buffer[:at]
        return found


def packet(contents: bytes) -> bytes:
    """A TPKT packet."""
    return _TPKT.pack(VERSION, 0, _TPKT.size + len(contents)) + contents


class ThinClientEnd(ClientEnd):
    """The user's side: an input is finished when all of its update is there; its first packet is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = TpktReader()
        self._number = 0

    def ask(self, input_bytes: int, update_bytes: int) -> None:
        """Send an input of ``input_bytes`` with its framing."""
        self._begin()
        self._number += 1
        padding = bytes(max(input_bytes - LEAST_BYTES, 0))
        self._send(packet(_INPUT.pack(self._number & 0xFFFFFFFF, update_bytes) + padding))

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        self.received_bytes += len(data)
        for contents in self._reader.feed(data):
            if self.finished or len(contents) < _UPDATE.size:
                raise ProtocolError("an update nobody asked for")
            number, left = _UPDATE.unpack_from(contents)
            if number != self._number & 0xFFFFFFFF:
                raise ProtocolError("an update for another input")
            self.answered, self.finished = True, left == 0


class ThinServerEnd(End):
    """The server's side: answers every input with the update that it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = TpktReader()

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        for contents in self._reader.feed(data):
            if len(contents) < _INPUT.size:
                raise ProtocolError("no input")
            number, size = _INPUT.unpack_from(contents)
            if size > MAX_UPDATE_BYTES:
                raise ProtocolError(f"an update of more than {MAX_UPDATE_BYTES} bytes")
            self._send(_update(number, size))


def _update(number: int, size: int) -> Iterator[bytes]:
    """The packets of an update of ``size`` bytes with their framing, or its least size if that is more."""
    head = _TPKT.size + _UPDATE.size
    left = max(size, head)
    while left > 0:
        now = min(left, PACKET_BYTES)
        left -= now
        if 0 < left < head:  # the rest would not hold a header
            now, left = now + left, 0
        yield packet(_UPDATE.pack(number, left) + bytes(now - head))
