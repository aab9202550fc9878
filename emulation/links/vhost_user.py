"""Messages of the vhost-user protocol, as its front end (the driver's side) sends and receives them.

The protocol hands the memory of two virtqueues to the back end, here a port of Open vSwitch with DPDK; frames then need
no message. Source: vhost-user protocol specification (QEMU documentation, interop/vhost-user); of it, what a device
without any feature but VIRTIO_F_VERSION_1 needs (Virtio 1.1).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from enum import IntEnum

RECEIVE, TRANSMIT = 0, 1  # the queues' numbers: frames from the back end, frames to it (Virtio 1.1, 5.1.2)
_VERSION = 1  # in the flags' lowest two bits
_REPLY = 4
_FLAGS = 0b111
_HEADER = struct.Struct("=III")  # request, flags, size of the payload
_U64 = struct.Struct("=Q")
_RING = struct.Struct("=II")  # queue, value
_ADDRESSES = struct.Struct("=IIQQQQ")  # queue, flags, descriptor table, used ring, available ring, log
_MEMORY = struct.Struct("=IIQQQQ")  # number of regions (1), padding, guest address, size, our address, offset in file
_MAX_PAYLOAD = 256  # bytes: longer than any reply to what is sent here
_VIRTIO_F_VERSION_1 = 1 << 32
# Where the shared memory lies in "our" address space, by which SET_VRING_ADDR names places in it: any constant will do.
_OUR_ADDRESS = 1 << 32


class ProtocolError(RuntimeError):
    """The back end did not keep to the protocol, or has ended the connection."""


class Request(IntEnum):
    """The requests that are sent."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13


def begin(connection: socket.socket, memory: int, size: int) -> None:
    """Begin a conversation: agree on the features, and share ``memory``, a descriptor of ``size`` bytes. Raises
    ProtocolError where the back end lacks a feature, OSError (TimeoutError included) when it does not answer."""
    _send(connection, Request.SET_OWNER)
    _send(connection, Request.GET_FEATURES)
    offered = _U64.unpack(_reply(connection, Request.GET_FEATURES, _U64.size))[0]
    if not offered & _VIRTIO_F_VERSION_1:
        raise ProtocolError(f"the back end offers features {offered:#x}, without VIRTIO_F_VERSION_1")
    _send(connection, Request.SET_FEATURES, _U64.pack(_VIRTIO_F_VERSION_1))
    _send(connection, Request.SET_MEM_TABLE, _MEMORY.pack(1, 0, 0, size, _OUR_ADDRESS, 0), [memory])


def start_queue(
    connection: socket.socket, queue: int, entries: int, offsets: tuple[int, int, int], call: int, kick: int
) -> None:
    """Let the back end use a queue, whose rings are as after a reset; it does so once it has both. ``offsets``: of the
    descriptor table, available and used ring in the shared memory. The back end writes to the event descriptor ``call``
    where the queue asks for it; ``kick`` is never written, as the back end polls."""
    table, available, used = offsets
    _send(connection, Request.SET_VRING_NUM, _RING.pack(queue, entries))
    _send(connection, Request.SET_VRING_BASE, _RING.pack(queue, 0))
    places = (_OUR_ADDRESS + offset for offset in (table, used, available))
    _send(connection, Request.SET_VRING_ADDR, _ADDRESSES.pack(queue, 0, *places, 0))
    _send(connection, Request.SET_VRING_CALL, _U64.pack(queue), [call])
    _send(connection, Request.SET_VRING_KICK, _U64.pack(queue), [kick])


def ask_to_stop(connection: socket.socket) -> None:
    """Ask the back end to stop using both queues; `await_stop` must follow."""
    for queue in (RECEIVE, TRANSMIT):
        _send(connection, Request.GET_VRING_BASE, _RING.pack(queue, 0))


def await_stop(connection: socket.socket) -> None:
    """Wait until the back end has stopped: it touches the shared memory no more. Raises as `begin`."""
    for _ in (RECEIVE, TRANSMIT):
        _reply(connection, Request.GET_VRING_BASE, _RING.size)


def _send(connection: socket.socket, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
    message = _HEADER.pack(request, _VERSION, len(payload)) + payload
    if socket.send_fds(connection, [message], fds) != len(message):
        raise ProtocolError(f"the back end takes no more messages ({request.name})")


def _reply(connection: socket.socket, request: Request, size: int) -> bytes:
    """The payload of the reply to ``request``, which has ``size`` bytes."""
    answered, flags, length = _HEADER.unpack(_receive(connection, _HEADER.size))
    if length > _MAX_PAYLOAD or flags & _FLAGS != _VERSION | _REPLY:
        raise ProtocolError(f"no reply to {request.name}: request {answered}, flags {flags:#x}, {length} bytes")
    payload = _receive(connection, length)
    if answered != request or length != size:
        raise ProtocolError(f"{length} bytes in reply to request {answered}, not {size} to {request.name}")
    return payload


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ProtocolError("the back end has ended the connection")
        data += part
    return data
