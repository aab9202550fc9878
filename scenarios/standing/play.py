"""Frames that clients of a standing network have its sites send, and what its sites then hear.

A client hands over a file of its own with what to send; what was heard stands in it at the end.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from emulation.namespaces import Namespace
from scenarios.probing.player import Heard, Played, Sending, play
from scenarios.standing.server import Followed, Refused, Request
from scenarios.standing.wire import WireError, send
from topology.model import Network

MOST_BYTES = 256 << 20
_Us = Annotated[int, Field(ge=0, le=3600 * 1_000_000)]
_ROWS = TypeAdapter(list[tuple[str, Annotated[int, Field(ge=0, le=1)], Annotated[str, Field(max_length=4096)], _Us]])


class PlayRequest(Request):
    """Play what is in the file that comes with the request, listen so long at the end, and keep what has ``mark`` in it
    (hex)."""

    mark: Annotated[str, Field(min_length=16, max_length=64, pattern="^([0-9a-f]{2})+$")]
    listen_s: Annotated[float, Field(ge=0, le=60)]


def written(sendings: Sequence[Sending]) -> bytes:
    """What a client writes into the file."""
    return json.dumps([(each.site, each.line, each.frame.hex(), each.at_us) for each in sendings]).encode()


def heard_in(data: bytes) -> Played:
    """What it finds there at the end."""
    told: dict[str, Any] = json.loads(data)
    return Played(**told | {"heard": tuple(Heard(site, bytes.fromhex(frame)) for site, frame in told["heard"])})


def start_playing(
    sites: Mapping[str, Namespace], network: Network, request: PlayRequest, fds: Sequence[int]
) -> Followed:
    """Begin to play; what follows ends with the word that all is heard. Raises Refused for what cannot be played."""
    sendings = _read(network, fds[0])
    file = os.dup(fds[0])

    def follow(connection: socket.socket) -> None:
        try:
            played = play(sites, sendings, bytes.fromhex(request.mark), request.listen_s, lambda: _is_gone(connection))
            _write(file, played)
            with suppress(WireError):
                send(connection, {"exit": 0})
        finally:
            os.close(file)

    return Followed({"frames": len(sendings)}, follow)


def _read(network: Network, file: int) -> list[Sending]:
    try:
        rows = _ROWS.validate_json(os.pread(file, MOST_BYTES, 0))
        sendings = [Sending(site, line, bytes.fromhex(frame), at_us) for site, line, frame, at_us in rows]
    except (OSError, ValidationError, ValueError) as error:
        raise Refused(f"what is to be played cannot be read: {str(error).splitlines()[0]}") from None
    for each in sendings:
        if each.site not in network.site or each.line >= len(network.site[each.site].accesses):
            raise Refused(f"{each.site}/wan{each.line} is no access line")
    return sendings


def _write(file: int, played: Played) -> None:
    told = asdict(played) | {"heard": [(each.site, each.frame.hex()) for each in played.heard]}
    os.ftruncate(file, 0)
    data, at = json.dumps(told).encode(), 0
    while at < len(data):
        at += os.pwrite(file, data[at:], at)


def _is_gone(connection: socket.socket) -> bool:
    """Whether the client has said something, or is gone: either way it waits for nothing more."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
