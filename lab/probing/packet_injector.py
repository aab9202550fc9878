"""Injects frames at sites of a running network, and captures the frames that arrive at all sites.

Every site has one packet socket for all its access links, open from before the first frame until after the last one, so
frames are captured also where none is expected. One thread alternates between sending and receiving.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.topology.model import access_interface

_ALL_PROTOCOLS = socket.htons(3)  # ETH_P_ALL
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_STATISTICS = struct.Struct("=II")  # packets, drops
_BUFFER_BYTES = 4 << 20
_FRAME_BYTES = 2048
_CANCEL_POLL_S = 0.05  # interval of calls of ``cancelled``
_FRAMES_AT_ONCE = 64  # read from one site before the next one


@dataclass(frozen=True, slots=True)
class ScheduledFrame:
    """A frame for ``site`` to send on an access link (0 = primary), ``at_us`` after the start."""

    site: str
    access_link: int
    frame: bytes
    at_us: int


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """A frame that arrived on an access link of ``site``."""

    site: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class InjectionResult:
    """The outcome of an injection: ``received`` frames; ``unsent``: number of frames that could not be sent;
    ``delayed_us``: how much longer sending took than scheduled; ``dropped``: frames dropped because a site's socket was
    full, by site."""

    received: tuple[ReceivedFrame, ...]
    unsent: int
    delayed_us: int
    dropped: Mapping[str, int]


def inject(
    sites: Mapping[str, Namespace],
    frames: Sequence[ScheduledFrame],
    mark: bytes,
    listen_s: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> InjectionResult:
    """Send ``frames`` in order, and receive until ``listen_s`` after the last one, or until ``cancelled`` returns True.
    Only received frames that contain ``mark`` are returned. Raises OSError where no packet socket can be created."""
    with _PacketSockets(sites, mark) as sockets:
        began_ns = time.monotonic_ns()
        unsent = delayed_ns = 0
        for scheduled in frames:
            due_ns = began_ns + delayed_ns + scheduled.at_us * 1000
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                sockets.receive(left_ns / 1e9)
            delayed_ns -= left_ns  # later frames are delayed as well: policers would drop some of a burst
            unsent += not sockets.send(scheduled)
            sockets.receive(0)
            if cancelled():
                break
        until_ns = time.monotonic_ns() + int(listen_s * 1e9)
        while (left_ns := until_ns - time.monotonic_ns()) > 0 and not cancelled():
            sockets.receive(min(left_ns / 1e9, _CANCEL_POLL_S))
        return InjectionResult(tuple(sockets.received), unsent, delayed_ns // 1000, sockets.dropped())


class _PacketSockets:
    """A packet socket in each site's namespace."""

    def __init__(self, sites: Mapping[str, Namespace], mark: bytes) -> None:
        self.received: list[ReceivedFrame] = []
        self._mark = mark
        self._epoll = select.epoll()
        self._sockets: dict[str, socket.socket] = {}
        self._site_of: dict[int, str] = {}
        try:
            for name, namespace in sites.items():
                opened = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, _ALL_PROTOCOLS)
                self._sockets[name] = opened
                self._site_of[opened.fileno()] = name
                opened.setblocking(False)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
                self._epoll.register(opened, select.EPOLLIN)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> _PacketSockets:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for opened in self._sockets.values():
            opened.close()

    def send(self, scheduled: ScheduledFrame) -> bool:
        """Send a frame; returns False where the access link is down or its queue is full."""
        with suppress(OSError):
            self._sockets[scheduled.site].sendto(scheduled.frame, (access_interface(scheduled.access_link), 0))
            return True
        return False

    def receive(self, seconds: float) -> None:
        """Receive the frames that have arrived; if there are none, wait up to ``seconds`` for the first."""
        for descriptor, _ in self._epoll.poll(seconds):
            site = self._site_of[descriptor]
            opened = self._sockets[site]
            with suppress(BlockingIOError):
                for _ in range(_FRAMES_AT_ONCE):
                    frame, (interface, _, direction, *_) = opened.recvfrom(_FRAME_BYTES)
                    if direction != socket.PACKET_OUTGOING and interface.startswith("wan") and self._mark in frame:
                        self.received.append(ReceivedFrame(site, frame))

    def dropped(self) -> dict[str, int]:
        """Frames dropped because the socket was full, by site."""
        lost = {}
        for name, opened in self._sockets.items():
            _, drops = _STATISTICS.unpack(opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size))
            if drops:
                lost[name] = drops
        return lost
