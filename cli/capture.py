"""``helsewan capture``: a line's frames to a pcapng file, or into another program."""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from helsewan.cli.options import Name
from helsewan.common.errors import InputError, Problem
from helsewan.lab.client.client import Client

FAILED = 1  # exit code
_ENHANCED_PACKET = 6  # draft-ietf-opsawg-pcapng, block type
_HEAD = struct.Struct("=II")


def capture(
    line: Annotated[str, typer.Argument(help="oslo-hamar, SITE/wan0 ...")],
    write: Annotated[str | None, typer.Option("-w", help="A file, or - for standard output.")] = None,
    direction: Annotated[str, typer.Option("--direction", help="both, forward (from a site) or back.")] = "both",
    duration: Annotated[str | None, typer.Option("--duration", help="End after 10s.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="End after so many frames.", min=1)] = None,
    name: Name = None,
) -> None:
    """Capture what comes out of a line, until Ctrl-C; `-w - | wireshark -k -i -` shows it live."""
    from helsewan.lab.links.link_options import directions_of, duration_us

    limit_us = duration_us("--duration", duration)
    limit_s = None if limit_us is None else limit_us / 1e6
    (one_way,) = directions_of(direction) if direction != "both" else (None,)
    with Client(name) as client, _output(write or f"{line.replace('/', '-')}.pcapng") as output:
        if count is None:
            client.ask("capture", (output,), line=line, direction=one_way)
            _wait(client.fileno(), limit_s)
        else:
            reading, writing = os.pipe()
            client.ask("capture", (writing,), line=line, direction=one_way)
            os.close(writing)
            copied = _copy_packets(reading, output, count, limit_s)
            os.close(reading)
        end = client.finish({"stop": True})
    _tell(end if count is None else end | {"frames": copied})


def _tell(end: dict[str, Any]) -> None:
    """What the capture came to; ends with exit code 1 where frames are missing from the file."""
    print(f"{end['frames']} frames captured, {end['missed']} missed", file=sys.stderr)
    if end["failure"] and end["failure"] != os.strerror(32):  # EPIPE: whoever reads it has seen enough
        print(f"the capture ended: {end['failure']}", file=sys.stderr)
        raise typer.Exit(FAILED)


@contextmanager
def _output(path: str) -> Iterator[int]:
    """Where the capture goes; raises InputError where it cannot."""
    if path == "-":
        if os.isatty(1):
            raise InputError(Problem("-w", path, "is this terminal", "pipe it into a program, or name a file"))
        yield 1
        return
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(Problem("-w", path, error.strerror or str(error))) from error
    try:
        yield file
    finally:
        os.close(file)


def _wait(connection: int, limit_s: float | None) -> None:
    """Until time is up, the network has something to say, or an interrupt."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    with suppress(KeyboardInterrupt):
        poll.poll(None if limit_s is None else limit_s * 1000)


def _copy_packets(reading: int, output: int, count: int, limit_s: float | None) -> int:
    """Copy whole blocks until ``count`` packets were among them, time is up, or an interrupt; how many were."""
    until = None if limit_s is None else time.monotonic() + limit_s
    held, copied = bytearray(), 0
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    with suppress(KeyboardInterrupt):
        while copied < count and poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000):
            if not (data := os.read(reading, 65536)):
                break
            held += data
            while copied < count and (block := _first_block(held)):
                del held[: len(block)]
                os.write(output, block)
                copied += _HEAD.unpack_from(block)[0] == _ENHANCED_PACKET
    return copied


def _first_block(held: bytearray) -> bytes:
    """The first block of a pcapng stream; empty while it is not whole."""
    if len(held) < _HEAD.size:
        return b""
    length = _HEAD.unpack_from(held)[1]
    return bytes(held[:length]) if len(held) >= length else b""
