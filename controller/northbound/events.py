"""Server-sent events (WHATWG HTML, 9.2) out of the file that what happens is appended to.

An event's id is where its line ends in the file: whoever was cut off goes on from there, and no reader costs memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

LOOK_S = 0.2
BEAT_S = 15.0  # a comment now and then tells that the connection lives, and finds out when it does not
_PIECE_BYTES = 1 << 16


class Misplaced(ValueError):
    """An id that no event of this file has."""


class EventFile:
    """The file at ``path``: one JSON object a line, only ever appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def end(self) -> int:
        """The id of the latest event."""
        return self._path.stat().st_size

    def check(self, last: str) -> int:
        """A position from an event's id. Raises Misplaced."""
        if not (last.isascii() and last.isdigit() and len(last) < 16) or int(last) > self.end():
            raise Misplaced
        position = int(last)
        with self._path.open("rb") as file:
            file.seek(max(0, position - 1))
            if position and file.read(1) != b"\n":
                raise Misplaced
        return position

    async def follow(self, position: int, beat_s: float = BEAT_S) -> AsyncIterator[bytes]:
        """Events from ``position`` on as a stream, for ever."""
        silent_s = 0.0
        yield b"retry: 1000\n\n"
        with self._path.open("rb") as file:
            file.seek(position)
            rest = b""
            while True:
                piece = file.read(_PIECE_BYTES)
                if not piece:
                    await asyncio.sleep(LOOK_S)
                    silent_s += LOOK_S
                    if silent_s >= beat_s:
                        silent_s = 0.0
                        yield b": alive\n\n"
                    continue
                silent_s = 0.0
                *lines, rest = (rest + piece).split(b"\n")
                told = b""
                for line in lines:
                    position += len(line) + 1
                    told += _told(line, position)
                if told:
                    yield told


def _told(line: bytes, position: int) -> bytes:
    """One event; a line that is none is passed over."""
    try:
        kind = str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return b""
    name = "".join(letter for letter in kind if letter.isprintable())
    return f"id: {position}\nevent: {name}\ndata: ".encode() + line + b"\n\n"
