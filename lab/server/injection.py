"""Packet injection and session probes for clients of a running lab: at its sites, by its worker.

A client passes the descriptor of a file with the request; at the end the file holds the outcome.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

from pydantic import Field, IPvAnyAddress, TypeAdapter, ValidationError

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.client.protocol import WireError, send
from helsewan.lab.client.request import Request
from helsewan.lab.probing.injection_file import encode_injected
from helsewan.lab.probing.packet_injector import Sending, inject
from helsewan.lab.probing.session_prober import Call, run_sessions
from helsewan.lab.server.control_socket import Followed, OperationRefused
from helsewan.topology.model import Network

MAX_FILE_BYTES = 256 << 20
_Us = Annotated[int, Field(ge=0, le=3600 * 1_000_000)]
_Hex = Annotated[str, Field(max_length=4096, pattern="^([0-9a-f]{2})+$")]
_ROWS: TypeAdapter[list[Any]] = TypeAdapter(list[tuple[str, Annotated[int, Field(ge=0, le=1)], _Hex, _Us]])
_Port = Annotated[int, Field(ge=0, le=0xFFFF)]
_CALLS: TypeAdapter[list[Any]] = TypeAdapter(list[tuple[str, str, IPvAnyAddress, IPvAnyAddress, int, _Port]])


class InjectionRequest(Request):
    """Send the frames in the file that comes with the request, listen for ``listen_s`` at the end, and keep the frames
    that hold ``mark`` (hex)."""

    mark: Annotated[str, Field(min_length=16, max_length=64, pattern="^([0-9a-f]{2})+$")]
    listen_s: Annotated[float, Field(ge=0, le=60)]


def start_injection(
    sites: Mapping[str, Namespace], network: Network, request: InjectionRequest, fds: Sequence[int]
) -> Followed:
    """Start the injection; the client gets a message at its end. Raises OperationRefused for a file that cannot be read
    or frames that no site can send."""
    sendings = _read(network, fds[0])

    def act(connection: socket.socket) -> bytes:
        injected = inject(sites, sendings, bytes.fromhex(request.mark), request.listen_s, lambda: _is_gone(connection))
        return encode_injected(injected)

    return _followed(len(sendings), fds[0], act)


def start_sessions(sites: Mapping[str, Namespace], fds: Sequence[int]) -> Followed:
    """Start the sessions; the client gets a message at their end. Raises OperationRefused as `start_injection`."""
    calls = [Call(a, b, str(from_), str(to), *rest) for a, b, from_, to, *rest in _rows(_CALLS, fds[0])]
    if unknown := {name for call in calls for name in (call.client, call.server)} - sites.keys():
        raise OperationRefused(f"{min(unknown)} is no site")
    return _followed(
        len(calls),
        fds[0],
        lambda connection: json.dumps(run_sessions(sites, calls, lambda: _is_gone(connection))).encode(),
    )


def _followed(count: int, file: int, act: Callable[[socket.socket], bytes]) -> Followed:
    """The answer to the client; ``act`` then runs while it waits, and its result becomes the file's content."""
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
        return kind.validate_json(os.pread(file, MAX_FILE_BYTES, 0))
    except (OSError, ValidationError) as error:
        raise OperationRefused(f"the file of the request cannot be read: {str(error).splitlines()[0]}") from None


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
    """Whether the client has sent something or closed the connection: either way it waits for nothing more."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
