"""HTTP/1.1 (RFC 9112), by h11: a client with kept connections, and a server that answers as the path says.

The server answers ``/SIZE`` with that many bytes, and ``/ebxml…`` as `ebxml` describes. Proxies' absolute URIs are
taken too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from helsewan.lab.applications.tcp.end import MAX_BYTES, ClientEnd, End, ProtocolError, filling

MAX_KEPT_BYTES = 200_000  # of a body that is looked into
MAX_AHEAD_BYTES = 1_000_000  # of requests that come before the answer to the last
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers: the body, how long it thinks before."""

    body: bytes | int  # a number: so many bytes of filling
    content_type: str = "application/octet-stream"
    after_us: int = 0
    status: int = 200


NOT_FOUND = Answer(b"", status=404)
_NOT_ALLOWED = Answer(b"", status=405)


class HttpClient(ClientEnd):
    """Sends requests one at a time; each is finished with its whole response, which must be a 200."""

    def __init__(self) -> None:
        super().__init__()
        self._connection = h11.Connection(h11.CLIENT)
        self.body = b""
        """Of the response, its first ``MAX_KEPT_BYTES``."""

    def ask(self, host: str, target: str, body: bytes | None = None, headers: Headers | None = None) -> None:
        """Send a request: a POST if it has a body, else a GET."""
        self._begin()
        self.body = b""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        length = [] if body is None else [(b"content-length", b"%d" % len(body))]
        request = h11.Request(
            method="GET" if body is None else "POST",
            target=target,
            headers=[(b"host", host.encode("ascii")), *length, *(headers or [])],
        )
        self._send(_bytes(self._connection, request))
        if body:
            self._send(_bytes(self._connection, h11.Data(data=body)))
        self._send(_bytes(self._connection, h11.EndOfMessage()))

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        if self.finished:
            raise ProtocolError("a response nobody asked for")
        self.received_bytes += len(data)
        for event in _events(self._connection, data):
            if isinstance(event, h11.Response):
                if event.status_code != 200:
                    raise ProtocolError(f"HTTP status {event.status_code}")
            elif isinstance(event, h11.Data):
                self.body += bytes(event.data[: MAX_KEPT_BYTES - len(self.body)])
            elif isinstance(event, h11.EndOfMessage):
                self.answered = self.finished = True
                self.closing = self._connection.our_state is not h11.DONE  # or the server keeps no connections
        if self.finished and self._connection.trailing_data[0]:
            raise ProtocolError("more than was asked for")

    def end_of_input(self) -> None:
        """See ``End``."""
        if not self.finished:
            for event in _events(self._connection, b""):
                self.finished |= isinstance(event, h11.EndOfMessage)
        super().end_of_input()


class HttpServer(End):
    """Answers requests one after the other with what ``answer`` makes of the target and the body's beginning."""

    def __init__(self, answer: Callable[[str, bytes], Answer]) -> None:
        super().__init__()
        self._connection = h11.Connection(h11.SERVER)
        self._answer = answer
        self._request: h11.Request | None = None
        self._body = b""
        self._taken = 0
        self._thinking: Answer | None = None
        self._ended = False

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        self._take(data)

    def end_of_input(self) -> None:
        """See ``End``."""
        self._ended = True
        self.closing = self._thinking is None

    def wake(self) -> None:
        """See ``End``: it has thought long enough."""
        assert self._thinking is not None
        answer, self._thinking = self._thinking, None
        self._respond(answer)
        self._take(None)  # what came meanwhile
        self.closing |= self._ended and self._thinking is None

    def _take(self, data: bytes | None) -> None:
        for event in _events(self._connection, data):
            if isinstance(event, h11.Request):
                self._request, self._body, self._taken = event, b"", 0
                if self._connection.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    self._send(_bytes(self._connection, go_on))
            elif isinstance(event, h11.Data):
                self._taken += len(event.data)
                if self._taken > MAX_BYTES:
                    raise ProtocolError("a request of more than a gigabyte")
                self._body += bytes(event.data[: MAX_KEPT_BYTES - len(self._body)])
            elif isinstance(event, h11.EndOfMessage):
                answer = self._answered()
                if answer.after_us:
                    self._thinking, self.wake_after_us = answer, answer.after_us
                else:
                    self._respond(answer)

    def _answered(self) -> Answer:
        assert self._request is not None
        if self._request.method not in (b"GET", b"POST"):
            return _NOT_ALLOWED
        return self._answer(self._request.target.decode("ascii", "replace"), self._body)

    def _respond(self, answer: Answer) -> None:
        size = answer.body if isinstance(answer.body, int) else len(answer.body)
        headers = [(b"content-length", b"%d" % size), (b"content-type", answer.content_type.encode("ascii"))]
        self._send(_bytes(self._connection, h11.Response(status_code=answer.status, headers=headers)))
        # h11 only counts what it passes on: the filling itself is made while it is sent.
        chunks: Iterator[bytes]
        if isinstance(answer.body, int):
            chunks = (_bytes(self._connection, h11.Data(data=chunk)) for chunk in filling(answer.body))
        else:
            chunks = iter([_bytes(self._connection, h11.Data(data=answer.body))] if answer.body else [])
        self._send(self._finish(chunks))

    def _finish(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        self._connection.send(h11.EndOfMessage())
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
            self._take(None)  # a request that came before its answer to the last
        else:
            self.closing = True


def page(target: str, body: bytes) -> Answer:
    """What the web server answers: as many bytes as the path's last part says."""
    path = urlsplit(target).path.rpartition("/")[2]
    if not path.isascii() or not path.isdigit() or len(path) > 9:
        return NOT_FOUND
    return Answer(int(path), "text/html")


def _bytes(connection: h11.Connection, event: h11.Event) -> bytes:
    return connection.send(event) or b""


def _events(connection: h11.Connection, data: bytes | None) -> Iterator[h11.Event]:
    """The events of ``data`` (b"": the end; None: of what was kept)."""
    try:
        if data is not None:
            connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event is h11.PAUSED and len(connection.trailing_data[0]) > MAX_AHEAD_BYTES:
                raise ProtocolError("too many requests ahead of their answers")
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            assert not isinstance(event, type)
            yield event
    except h11.RemoteProtocolError as error:
        raise ProtocolError(f"no HTTP: {error}") from None
