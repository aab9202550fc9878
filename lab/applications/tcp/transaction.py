"""A request and a response of given sizes: the client says in a header how large both are."""

from __future__ import annotations

import struct
from itertools import chain

from helsewan.lab.applications.tcp.end import MAX_BYTES, ClientEnd, End, ProtocolError, filling

_HEADER = struct.Struct("!4sII")  # magic, request bytes in all, response bytes
_MAGIC = b"HSWT"


class TransactionClient(ClientEnd):
    """Sends one request, of at least its header's 12 bytes, and counts the response."""

    def __init__(self, request_bytes: int, response_bytes: int) -> None:
        super().__init__()
        size = max(request_bytes, _HEADER.size)
        self._expected = response_bytes
        self._send(chain((_HEADER.pack(_MAGIC, size, response_bytes),), filling(size - _HEADER.size)))

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        self.received_bytes += len(data)
        if self.received_bytes > self._expected:
            raise ProtocolError("more than was asked for")
        self.finished = self.closing = self.received_bytes == self._expected


class TransactionServer(End):
    """Reads one request, sends as many bytes as it asks for, closes."""

    def __init__(self) -> None:
        super().__init__()
        self._header = b""
        self._left = 0  # of the request
        self._response = 0

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        if len(self._header) < _HEADER.size:
            missing = _HEADER.size - len(self._header)
            self._header, data = self._header + data[:missing], data[missing:]
            if len(self._header) < _HEADER.size:
                return
            magic, size, self._response = _HEADER.unpack(self._header)
            if magic != _MAGIC or not _HEADER.size <= size <= MAX_BYTES or self._response > MAX_BYTES:
                raise ProtocolError("no request")
            self._left = size - _HEADER.size
        if self.closing or len(data) > self._left:
            raise ProtocolError("more than was announced")
        self._left -= len(data)
        if not self._left:
            self._send(filling(self._response))
            self.closing = True

    def end_of_input(self) -> None:
        """See ``End``; a client may close its side once its request is sent."""
        self.closing = True
