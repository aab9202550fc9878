"""Frames that clients of a standing network have its sites send, and conversations that they have its sites have.

A client hands over a file of its own with what is to be done; what came of it stands in it at the end.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple
from typing import Annotated, Any

from pydantic import Field, IPvAnyAddress, TypeAdapter, ValidationError

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.client.protocol import WireError, send
from helsewan.lab.probing.packet_injector import Heard, Injected, Sending, inject
from helsewan.lab.probing.session_prober import Call, run_sessions
from helsewan.lab.server.control_socket import Followed, OperationRefused, Request
from helsewan.topology.model import Network

MOST_BYTES = 256 << 20
_Us = Annotated[int, Field(ge=0, le=3600 * 1_000_000)]
_Hex = Annotated[str, Field(max_length=4096, pattern="^([0-9a-f]{2})+$")]
_ROWS: TypeAdapter[list[Any]] = TypeAdapter(list[tuple[str, Annotated[int, Field(ge=0, le=1)], _Hex, _Us]])
_Port = Annotated[int, Field(ge=0, le=0xFFFF)]
_CALLS: TypeAdapter[list[Any]] = TypeAdapter(list[tuple[str, str, IPvAnyAddress, IPvAnyAddress, int, _Port]])


class InjectionRequest(Request):
    """Play what is in the file that comes with the request, listen so long at the end, and keep what has ``mark`` in it
    (hex)."""

    mark: Annotated[str, Field(min_length=16, max_length=64, pattern="^([0-9a-f]{2})+$")]
    listen_s: Annotated[float, Field(ge=0, le=60)]


def written(sendings: Sequence[Sending]) -> bytes:
    """What a client writes into the file."""
    return json.dumps([(each.site, each.line, each.frame.hex(), each.at_us) for each in sendings]).encode()


def spelt(calls: Sequence[Call]) -> bytes:
    """The same of conversations."""
    return json.dumps([astuple(call) for call in calls]).encode()


def heard_in(data: bytes) -> Injected:
    """What it finds there at the end."""
    told: dict[str, Any] = json.loads(data)
    return Injected(**told | {"heard": tuple(Heard(site, bytes.fromhex(frame)) for site, frame in told["heard"])})


def start_injection(
    sites: Mapping[str, Namespace], network: Network, request: InjectionRequest, fds: Sequence[int]
) -> Followed:
    """Begin to play; what follows ends with the word that all is heard. Raises Refused for what cannot be played."""
    sendings = _read(network, fds[0])

    def act(connection: socket.socket) -> bytes:
        played = inject(sites, sendings, bytes.fromhex(request.mark), request.listen_s, lambda: _is_gone(connection))
        told = asdict(played) | {"heard": [(each.site, each.frame.hex()) for each in played.heard]}
        return json.dumps(told).encode()

    return _followed(len(sendings), fds[0], act)


def start_sessions(sites: Mapping[str, Namespace], fds: Sequence[int]) -> Followed:
    """Begin conversations; what follows ends with the word that all are over. Raises Refused as ``start_injection``."""
    calls = [Call(a, b, str(from_), str(to), *rest) for a, b, from_, to, *rest in _rows(_CALLS, fds[0])]
    if unknown := {name for call in calls for name in (call.client, call.server)} - sites.keys():
        raise OperationRefused(f"{min(unknown)} is no site")
    return _followed(
        len(calls),
        fds[0],
        lambda connection: json.dumps(run_sessions(sites, calls, lambda: _is_gone(connection))).encode(),
    )


def _followed(count: int, file: int, act: Callable[[socket.socket], bytes]) -> Followed:
    """What is done while the client waits, with the outcome for its file."""
    kept = os.dup(file)

    def follow(connection: socket.socket) -> None:
        try:
            _write(kept, act(connection))
            with suppress(WireError):
                send(connection, {"exit": 0})
        finally:
            os.close(kept)

    return Followed({"count": count}, follow)


def _rows(kind: TypeAdapter[list[Any]], file: int) -> list[Any]:
    try:
        return kind.validate_json(os.pread(file, MOST_BYTES, 0))
    except (OSError, ValidationError) as error:
        raise OperationRefused(f"what is to be done cannot be read: {str(error).splitlines()[0]}") from None


def _read(network: Network, file: int) -> list[Sending]:
    sendings = [Sending(site, line, bytes.fromhex(frame), at_us) for site, line, frame, at_us in _rows(_ROWS, file)]
    for each in sendings:
        if each.site not in network.site or each.line >= len(network.site[each.site].accesses):
            raise OperationRefused(f"{each.site}/wan{each.line} is no access line")
    return sendings


def _write(file: int, data: bytes) -> None:
    os.ftruncate(file, 0)
    at = 0
    while at < len(data):
        at += os.pwrite(file, data[at:], at)


def _is_gone(connection: socket.socket) -> bool:
    """Whether the client has said something, or is gone: either way it waits for nothing more."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
