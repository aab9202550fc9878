"""SIP messages (RFC 3261, 7 and 25): read, written, and the parts of their headers that calls need.

What is refused is short: a message is bounded in size and headers, has a start line, and the headers that every message
must have (8.1.1). Unknown headers are kept and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from helsewan.lab.applications.tcp.end import ProtocolError

MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 200
DEFAULT_PORT = 5060
VERSION = "SIP/2.0"
BRANCH_COOKIE = "z9hG4bK"  # begins every branch of RFC 3261 (8.1.1.7)

_COMPACT = {"v": "via", "f": "from", "t": "to", "m": "contact", "i": "call-id", "l": "content-length",
            "c": "content-type", "k": "supported", "s": "subject", "e": "content-encoding"}  # fmt: skip
_NAMES = {"call-id": "Call-ID", "cseq": "CSeq"}  # the others are written Word-Word
_REQUEST = re.compile(r"([A-Z][A-Z0-9_.-]{0,31}) (\S{1,500}) SIP/2\.0")
_RESPONSE = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: ([^\r\n]{0,200}))?")
_HOST = r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>\d{1,5}))?"
_VIA = re.compile(rf"SIP\s*/\s*2\.0\s*/\s*(?P<transport>[A-Za-z]{{2,8}})\s+{_HOST}\s*(?P<parameters>;.*)?", re.S)
_URI = re.compile(rf"sips?:(?:[^@>\s]{{0,200}}@)?{_HOST}(?P<parameters>;[^>\s?]*)?")
_CSEQ = re.compile(r"(\d{1,10})\s+([A-Z][A-Z0-9_.-]{0,31})")
_CONTENT_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(\d{1,8})[ \t]*\r\n", re.I)
_TAG = re.compile(r";\s*tag\s*=\s*([^\s;,>]{1,200})", re.I)

Address = tuple[str, int]
Headers = tuple[tuple[str, str], ...]
"""Names in lower case and full, with their values, in order."""


@dataclass(frozen=True, slots=True)
class Via:
    """The topmost hop of a message: who sent it, and the branch that names its transaction."""

    transport: str
    host: str
    port: int
    branch: str
    parameters: dict[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses have in common."""

    headers: Headers
    body: bytes

    def get(self, name: str) -> str:
        """The first header of that name, "" where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """All headers of that name."""
        return [value for key, value in self.headers if key == name]

    @property
    def call_id(self) -> str:
        """The call that it belongs to."""
        return self.get("call-id")

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return read_via(self.get("via"))

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq."""
        match = _CSEQ.fullmatch(self.get("cseq"))
        if match is None:
            raise ProtocolError("SIP without a CSeq")
        return int(match[1]), match[2]


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request."""

    method: str
    uri: str

    def encode(self) -> bytes:
        """The message as it is sent."""
        return _encode(f"{self.method} {self.uri} {VERSION}", self)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A response."""

    status: int
    reason: str

    def encode(self) -> bytes:
        """The message as it is sent."""
        return _encode(f"{VERSION} {self.status} {self.reason}", self)


def _encode(start: str, message: Message) -> bytes:
    lines = [start, *(f"{_NAMES.get(name, name.title())}: {value}" for name, value in message.headers)]
    lines.append(f"Content-Length: {len(message.body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + message.body


def parse(data: bytes) -> Request | Response:
    """The message in a datagram, or a whole one of a stream. Raises ProtocolError."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError("a SIP message of more than 64 kB")
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        raise ProtocolError("a SIP message without an end of its headers")
    start, *lines = head.decode("utf-8", "replace").lstrip("\r\n").split("\r\n")
    headers = tuple(_headers(lines))
    length = next((value for name, value in headers if name == "content-length"), str(len(body)))
    if not (length.isascii() and length.isdigit() and len(length) < 9) or int(length) > len(body):
        raise ProtocolError("a SIP message shorter than it says")
    kept = tuple(header for header in headers if header[0] != "content-length")
    body = body[: int(length)]
    message: Request | Response
    if request := _REQUEST.fullmatch(start):
        message = Request(kept, body, request[1], request[2])
    elif response := _RESPONSE.fullmatch(start):
        message = Response(kept, body, int(response[1]), response[2] or "")
    else:
        raise ProtocolError("no SIP message")
    if not all(message.get(name) for name in ("via", "from", "to", "call-id", "cseq")):
        raise ProtocolError("a SIP message without Via, From, To, Call-ID or CSeq")
    message.via, message.cseq  # noqa: B018 - they can be read, or this raises
    return message


def _headers(lines: Sequence[str]) -> Iterable[tuple[str, str]]:
    unfolded: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and unfolded:
            unfolded[-1] += " " + line.strip()
        else:
            unfolded.append(line)
    if len(unfolded) > MAX_HEADERS:
        raise ProtocolError("a SIP message with too many headers")
    for line in unfolded:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError("a SIP header without a colon")
        name = name.strip().lower()
        name = _COMPACT.get(name, name)
        if name in ("via", "route", "record-route"):  # a list in one header is the same as several headers
            yield from ((name, part.strip()) for part in value.split(",") if part.strip())
        else:
            yield name, value.strip()


def read_via(text: str) -> Via:
    """A Via header. Raises ProtocolError."""
    match = _VIA.fullmatch(text)
    if match is None:
        raise ProtocolError("SIP without a Via that can be read")
    parameters = dict(_parameters(match["parameters"] or ""))
    port = _port(match["port"])
    return Via(match["transport"].upper(), match["host"], port, parameters.get("branch", ""), parameters)


def _parameters(text: str) -> Iterable[tuple[str, str]]:
    for part in text.split(";")[1:]:
        name, _, value = part.partition("=")
        yield name.strip().lower(), value.strip()


def tag_of(text: str) -> str:
    """The tag of a From or To header, "" where it has none."""
    match = _TAG.search(text, text.rfind(">") + 1)
    return match[1] if match else ""


def uri_in(text: str) -> str:
    """The URI of a Contact, Route or To header, "" where there is none."""
    begin = text.rfind("<") + 1
    uri = text[begin:].partition(">")[0] if begin else text.partition(";")[0].strip()
    return uri if _URI.match(uri) else ""


def address_of(uri: str) -> Address | None:
    """The host and port of a SIP URI; None where it is none."""
    match = _URI.match(uri)
    return (match["host"].strip("[]"), _port(match["port"])) if match else None


def uri_parameter(uri: str, name: str) -> str:
    """A parameter of a SIP URI, "" where it has none of that name."""
    match = _URI.match(uri)
    return dict(_parameters(match["parameters"] or "")).get(name, "") if match else ""


def _port(text: str | None) -> int:
    port = int(text) if text else DEFAULT_PORT
    if not 0 < port < 65_536:
        raise ProtocolError("a SIP address with an impossible port")
    return port


def bracketed(host: str) -> str:
    """A host as URIs have it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


class StreamReader:
    """Cuts a TCP stream into messages (18.3): the headers' end, and a body of Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with ``data``. Raises ProtocolError."""
        self._buffer += data
        found = []
        while True:
            while self._buffer[:2] == b"\r\n":  # keep-alives between messages (RFC 5626, 3.5.1)
                del self._buffer[:2]
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            match = _CONTENT_LENGTH.search(self._buffer[: end + 2])
            if match is None:
                raise ProtocolError("a SIP message in a stream without Content-Length")
            end += 4 + int(match[1])
            if end > MAX_MESSAGE_BYTES:
                raise ProtocolError("a SIP message of more than 64 kB")
            if len(self._buffer) < end:
                break
            found.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            raise ProtocolError("a SIP message of more than 64 kB")
        return found
