"""Server-sent events (WHATWG HTML, 9.2) from the file to which events are appended.

The id of an event is the offset of its line's end in the file: a client that was disconnected resumes there, and a
client costs no memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

POLL_S = 0.2  # how often the file is read
HEARTBEAT_S = 15.0  # of silence until a comment is sent, which also detects a dead connection
_CHUNK_BYTES = 1 << 16


class UnknownEventId(ValueError):
    """An id that no event of this file has."""


class EventFile:
    """The file at ``path``: one JSON object a line, only ever appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def end(self) -> int:
        """The id of the latest event."""
        return self._path.stat().st_size

    def check(self, last: str) -> int:
        """The file offset after the event with id ``last``. Raises UnknownEventId."""
        if not (last.isascii() and last.isdigit() and len(last) < 16) or int(last) > self.end():
            raise UnknownEventId
        position = int(last)
        with self._path.open("rb") as file:
            file.seek(max(0, position - 1))
            if position and file.read(1) != b"\n":
                raise UnknownEventId
        return position

    async def follow(self, position: int, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[bytes]:
        """Events from file offset ``position`` on, without end."""
        silent_s = 0.0
        yield b"retry: 1000\n\n"
        with self._path.open("rb") as file:
            file.seek(position)
            rest = b""
            while True:
                chunk = file.read(_CHUNK_BYTES)
                if not chunk:
                    await asyncio.sleep(POLL_S)
                    silent_s += POLL_S
                    if silent_s >= heartbeat_s:
                        silent_s = 0.0
                        yield b": alive\n\n"
                    continue
                silent_s = 0.0
                *lines, rest = (rest + chunk).split(b"\n")
                events = b""
                for line in lines:
                    position += len(line) + 1
                    events += _formatted(line, position)
                if events:
                    yield events


def _formatted(line: bytes, position: int) -> bytes:
    """A line of the file as a server-sent event; empty where it is no event."""
    try:
        kind = str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return b""
    name = "".join(letter for letter in kind if letter.isprintable())
    return f"id: {position}\nevent: {name}\ndata: ".encode() + line + b"\n\n"
