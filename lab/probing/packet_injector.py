"""Injects frames at sites of a running network, and captures what arrives at all sites.

Every site has one packet socket, on all its lines, from before the first frame until after the last: what arrives where
it is not expected is heard as well as what arrives where it is. One thread sends and listens in turn.
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
_LOOK_S = 0.05  # at whether it is over
_FRAMES_AT_ONCE = 64  # of one site, before it is another's turn


@dataclass(frozen=True, slots=True)
class Sending:
    """A frame that a site sends on its access link, and its time after the first."""

    site: str
    line: int
    frame: bytes
    at_us: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame that arrived on an access link of a site."""

    site: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class Injected:
    """What was heard; ``unsent`` counts frames whose line took none, ``held_up_us`` is how much longer the whole took
    than it should, ``dropped`` how many frames came that nobody had time to hear, by site."""

    heard: tuple[Heard, ...]
    unsent: int
    held_up_us: int
    dropped: Mapping[str, int]


def inject(
    sites: Mapping[str, Namespace],
    sendings: Sequence[Sending],
    mark: bytes,
    listen_s: float,
    is_over: Callable[[], bool] = lambda: False,
) -> Injected:
    """Send all in their order, and go on listening for ``listen_s``; end at once when it ``is_over``. Only frames that
    hold ``mark`` are kept. Raises OSError where a site has no packet socket to give."""
    with _Listeners(sites, mark) as ears:
        began_ns = time.monotonic_ns()
        unsent = held_up_ns = 0
        for sending in sendings:
            due_ns = began_ns + held_up_ns + sending.at_us * 1000
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                ears.listen(left_ns / 1e9)
            held_up_ns -= left_ns  # those that follow are put off as well: a burst would not pass the policers
            unsent += not ears.send(sending)
            ears.listen(0)
            if is_over():
                break
        until_ns = time.monotonic_ns() + int(listen_s * 1e9)
        while (left_ns := until_ns - time.monotonic_ns()) > 0 and not is_over():
            ears.listen(min(left_ns / 1e9, _LOOK_S))
        return Injected(tuple(ears.heard), unsent, held_up_ns // 1000, ears.dropped())


class _Listeners:
    """A packet socket at each site."""

    def __init__(self, sites: Mapping[str, Namespace], mark: bytes) -> None:
        self.heard: list[Heard] = []
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

    def __enter__(self) -> _Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for opened in self._sockets.values():
            opened.close()

    def send(self, sending: Sending) -> bool:
        """Send a frame; False where the line is down, or has no room."""
        with suppress(OSError):
            self._sockets[sending.site].sendto(sending.frame, (access_interface(sending.line), 0))
            return True
        return False

    def listen(self, seconds: float) -> None:
        """Hear what has arrived, or arrives first within ``seconds``."""
        for descriptor, _ in self._epoll.poll(seconds):
            site = self._site_of[descriptor]
            opened = self._sockets[site]
            with suppress(BlockingIOError):
                for _ in range(_FRAMES_AT_ONCE):
                    frame, (interface, _, direction, *_) = opened.recvfrom(_FRAME_BYTES)
                    if direction != socket.PACKET_OUTGOING and interface.startswith("wan") and self._mark in frame:
                        self.heard.append(Heard(site, frame))

    def dropped(self) -> dict[str, int]:
        """Frames that found no room, by site."""
        lost = {}
        for name, opened in self._sockets.items():
            _, drops = _STATISTICS.unpack(opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size))
            if drops:
                lost[name] = drops
        return lost
