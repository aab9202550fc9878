"""Packet injection and session probes for clients of a running lab, executed by its worker at the sites.

A client sends the descriptor of a file with the request; the lab replaces the file's content with the outcome.
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
from helsewan.lab.client.protocol import ProtocolError, send
from helsewan.lab.client.request import Request
from helsewan.lab.probing.injection_file import encode_result
from helsewan.lab.probing.packet_injector import ScheduledFrame, inject
from helsewan.lab.probing.session_prober import SessionSpec, run_sessions
from helsewan.lab.server.control_socket import Followed, OperationRefused
from helsewan.topology.model import Network

MAX_FILE_BYTES = 256 << 20
_Us = Annotated[int, Field(ge=0, le=3600 * 1_000_000)]
_Hex = Annotated[str, Field(max_length=4096, pattern="^([0-9a-f]{2})+$")]
_ROWS: TypeAdapter[list[Any]] = TypeAdapter(list[tuple[str, Annotated[int, Field(ge=0, le=1)], _Hex, _Us]])
_Port = Annotated[int, Field(ge=0, le=0xFFFF)]
_SESSIONS: TypeAdapter[list[Any]] = TypeAdapter(list[tuple[str, str, IPvAnyAddress, IPvAnyAddress, int, _Port]])


class InjectionRequest(Request):
    """Send the frames in the file sent with the request, listen for ``listen_s`` after the last one, and record
    received frames that contain ``mark`` (hex)."""

    mark: Annotated[str, Field(min_length=16, max_length=64, pattern="^([0-9a-f]{2})+$")]
    listen_s: Annotated[float, Field(ge=0, le=60)]


def start_injection(
    sites: Mapping[str, Namespace], network: Network, request: InjectionRequest, fds: Sequence[int]
) -> Followed:
    """Start the injection; the client is notified when it has ended. Raises OperationRefused for a file that cannot be
    parsed, or frames for a site or access link that does not exist."""
    frames = _read_frames(network, fds[0])

    def act(connection: socket.socket) -> bytes:
        result = inject(sites, frames, bytes.fromhex(request.mark), request.listen_s, lambda: _is_gone(connection))
        return encode_result(result)

    return _followed(len(frames), fds[0], act)


def start_sessions(sites: Mapping[str, Namespace], fds: Sequence[int]) -> Followed:
    """Start the sessions; the client is notified when they have ended. Raises OperationRefused as `start_injection`."""
    specs = [SessionSpec(a, b, str(from_), str(to), *rest) for a, b, from_, to, *rest in _rows(_SESSIONS, fds[0])]
    if unknown := {name for spec in specs for name in (spec.client, spec.server)} - sites.keys():
        raise OperationRefused(f"{min(unknown)} is no site")
    return _followed(
        len(specs),
        fds[0],
        lambda connection: json.dumps(run_sessions(sites, specs, lambda: _is_gone(connection))).encode(),
    )


def _followed(count: int, file: int, act: Callable[[socket.socket], bytes]) -> Followed:
    """The reply to the client; then ``act`` runs while the client waits, and its result is written to the file."""
    duplicate = os.dup(file)

    def follow(connection: socket.socket) -> None:
        try:
            _write(duplicate, act(connection))
            with suppress(ProtocolError):
                send(connection, {"exit": 0})
        finally:
            os.close(duplicate)

    return Followed({"count": count}, follow)


def _rows(kind: TypeAdapter[list[Any]], file: int) -> list[Any]:
    try:
        return kind.validate_json(os.pread(file, MAX_FILE_BYTES, 0))
    except (OSError, ValidationError) as error:
        raise OperationRefused(f"the file of the request is invalid: {str(error).splitlines()[0]}") from None


def _read_frames(network: Network, file: int) -> list[ScheduledFrame]:
    frames = [
        ScheduledFrame(site, number, bytes.fromhex(frame), at_us) for site, number, frame, at_us in _rows(_ROWS, file)
    ]
    for each in frames:
        if each.site not in network.site or each.access_link >= len(network.site[each.site].accesses):
            raise OperationRefused(f"{each.site}/wan{each.access_link} is no access link")
    return frames


def _write(file: int, data: bytes) -> None:
    os.ftruncate(file, 0)
    at = 0
    while at < len(data):
        at += os.pwrite(file, data[at:], at)


def _is_gone(connection: socket.socket) -> bool:
    """Whether the client has sent something or closed the connection, and so does not wait any more."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
