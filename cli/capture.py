"""``helsewan capture``: a link's frames to a pcapng file, or into another program."""

from __future__ import annotations

import os
import select
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from helsewan.cli.options import Direction, Name
from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.files import open_output

_ENHANCED_PACKET = 6  # draft-ietf-opsawg-pcapng, block type
_HEAD = struct.Struct("=II")


def capture(
    link: Annotated[str, typer.Argument(help="oslo-hamar, SITE/wan0 ...")],
    write: Annotated[str | None, typer.Option("-w", help="A file, or - for standard output.")] = None,
    direction: Direction = "both",
    duration: Annotated[str | None, typer.Option("--duration", help="Stop after 10s.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Stop after this many frames.", min=1)] = None,
    name: Name = None,
) -> None:
    """Capture the frames that leave a link. Stops at Ctrl-C; `-w - | wireshark -k -i -` shows them live."""
    from helsewan.lab.client.client import Client
    from helsewan.lab.links.link_options import directions_of, duration_us

    limit_us = duration_us("--duration", duration)
    limit_s = None if limit_us is None else limit_us / 1e6
    (only,) = directions_of(direction) if direction != "both" else (None,)
    with Client(name) as client, _output(write or f"{link.replace('/', '-')}.pcapng") as output:
        if count is None:
            client.ask("capture", (output,), line=link, direction=only)
            _wait(client.fileno(), limit_s)
        else:
            reading, writing = os.pipe()
            client.ask("capture", (writing,), line=link, direction=only)
            os.close(writing)
            _empty(output)
            copied = _copy_packets(reading, output, count, limit_s)
            os.close(reading)
        end = client.finish({"stop": True})
    _report(end if count is None else end | {"frames": copied})


def _report(end: dict[str, Any]) -> None:
    """Print the number of frames captured and missed; exit code 1 where writing the capture failed."""
    print(f"{end['frames']} frames captured, {end['missed']} missed", file=sys.stderr)
    if end["failure"] and end["failure"] != os.strerror(32):  # EPIPE: the reader has left
        print(f"the capture failed: {end['failure']}", file=sys.stderr)
        raise typer.Exit(ExitCode.FAIL)


@contextmanager
def _output(path: str) -> Iterator[int]:
    """The descriptor to write the capture to, a file that is as it was until the network has accepted the capture; a
    file that was created is removed again where it was refused.

    Raises InputError for a terminal and for a file that cannot be opened."""
    if path == "-":
        if os.isatty(1):
            raise InputError(Problem("-w", path, "is this terminal", "pipe it into a program, or name a file"))
        yield 1
        return
    existed = os.path.lexists(path)
    try:
        file = open_output(Path(path))
    except OSError as error:
        raise InputError(Problem("-w", path, error.strerror or str(error))) from error
    try:
        yield file
    except BaseException:
        if not existed and os.fstat(file).st_size == 0:
            with suppress(OSError):
                os.unlink(path)
        raise
    finally:
        os.close(file)


def _empty(output: int) -> None:
    """Truncate a regular file."""
    if stat.S_ISREG(os.fstat(output).st_mode) and output != 1:
        os.ftruncate(output, 0)
        os.fchmod(output, 0o600)


def _wait(connection: int, limit_s: float | None) -> None:
    """Wait until time is up, the network sends a message, or an interrupt."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    with suppress(KeyboardInterrupt):
        poll.poll(None if limit_s is None else limit_s * 1000)


def _copy_packets(reading: int, output: int, count: int, limit_s: float | None) -> int:
    """Copy whole pcapng blocks until ``count`` packets are copied, time is up, or an interrupt; returns how many."""
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
    """The first block of a pcapng stream; empty while it is incomplete."""
    if len(held) < _HEAD.size:
        return b""
    length = _HEAD.unpack_from(held)[1]
    return bytes(held[:length]) if len(held) >= length else b""
