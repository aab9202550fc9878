"""Requests and responses over TCP between sites: real connections, opened and served by one thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from helsewan.common.run_clock import RunClock
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.flows.flow_engine import SocketIn
from helsewan.lab.flows.flowspec import ExchangeSpec

CHUNK_BYTES = 65_536
MAX_BYTES = 10**9
BACKLOG = 128
_HEADER = struct.Struct("!4sII")  # magic, request bytes in all, response bytes
_MAGIC = b"HSWT"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request: when it began and ended (from the run's start), and whether the response was complete."""

    spec_id: int
    begin_us: float
    end_us: float
    ok: bool
    received_bytes: int
    error: str = ""


class ExchangeEngine:
    """The exchanges of a run: listens at every server from the beginning, connects between start and stop.

    Errors of ``socket_in`` and ``OSError`` (address in use) leave no socket open.
    """

    def __init__(self, specs: Sequence[ExchangeSpec], socket_in: SocketIn) -> None:
        self._specs = specs
        self._socket_in = socket_in
        self._done: list[Exchange] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[socket.socket] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for spec in {(spec.server, spec.port): spec for spec in specs}.values():
                self._listeners.append(self._listener(spec))
            undo.pop_all()

    @property
    def results(self) -> tuple[Exchange, ...]:
        """The exchanges that have ended so far."""
        return tuple(self._done)

    def start(self, epoch_ns: int) -> None:
        """Start sending requests: the specs' time 0 is ``epoch_ns`` on CLOCK_REALTIME."""
        self._loop = asyncio.new_event_loop()
        self._clock = RunClock()
        self._thread = threading.Thread(target=self._run, args=(self._loop, epoch_ns), name="exchanges", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop: requests under way are abandoned and not counted."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = self._loop = None

    def close(self) -> None:
        """Stop, and close every socket."""
        self.stop()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _listener(self, spec: ExchangeSpec) -> socket.socket:
        listener = self._open(spec.server, spec.dscp)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(spec.server_address), spec.port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener

    def _open(self, site: str, dscp: int) -> socket.socket:
        """A TCP socket at a site; what a listener accepts inherits its options."""
        opened = self._socket_in(site, socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def _run(self, loop: asyncio.AbstractEventLoop, epoch_ns: int) -> None:
        set_realtime(
            LINKS
        )  # at normal priority it would wait for a core with the interpreter's lock, and the timeline too
        servers = [loop.create_task(_serve(loop, listener)) for listener in self._listeners]
        clients = [loop.create_task(self._client(loop, spec, epoch_ns)) for spec in self._specs]
        loop.run_forever()
        left = {*servers, *clients, *asyncio.all_tasks(loop)}
        for abandoned in left:
            abandoned.cancel()
        if left:  # gather() of nothing needs a running loop
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

    async def _client(self, loop: asyncio.AbstractEventLoop, spec: ExchangeSpec, epoch_ns: int) -> None:
        """Start a request whenever one is due, on an absolute schedule."""
        under_way: set[asyncio.Task[None]] = set()
        for due_us in range(spec.start_us, spec.stop_us, spec.interval_us):
            await asyncio.sleep(max((epoch_ns + due_us * 1000 - self._clock.now_ns()) / 1e9, 0))
            task = loop.create_task(self._exchange(loop, spec, epoch_ns))
            under_way.add(task)  # the loop itself keeps no strong reference
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _exchange(self, loop: asyncio.AbstractEventLoop, spec: ExchangeSpec, epoch_ns: int) -> None:
        begin_us = (self._clock.now_ns() - epoch_ns) / 1000
        received, error = 0, ""
        try:
            with self._open(spec.client, spec.dscp) as opened:
                received = await asyncio.wait_for(_request(loop, opened, spec), spec.deadline_us / 1e6)
        except TimeoutError:
            error = "deadline"
        except OSError as failure:
            error = os.strerror(failure.errno) if failure.errno else str(failure)  # asyncio changes the text
        ok = received == spec.response_bytes
        end_us = (self._clock.now_ns() - epoch_ns) / 1000
        self._done.append(Exchange(spec.id, begin_us, end_us, ok, received, error or ("" if ok else "cut short")))


async def _request(loop: asyncio.AbstractEventLoop, opened: socket.socket, spec: ExchangeSpec) -> int:
    """Connect, send the request, read the response to its end; returns the bytes read."""
    await loop.sock_connect(opened, (str(spec.server_address), spec.port))
    size = max(spec.request_bytes, _HEADER.size)
    await loop.sock_sendall(opened, _HEADER.pack(_MAGIC, size, spec.response_bytes) + bytes(size - _HEADER.size))
    received = 0
    while chunk := await loop.sock_recv(opened, CHUNK_BYTES):
        received += len(chunk)
    return received


async def _serve(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    """Answer every connection of one listener."""
    answering: set[asyncio.Task[None]] = set()
    while True:
        try:
            opened, _ = await loop.sock_accept(listener)
        except OSError:  # a connection that ended before it was accepted
            await asyncio.sleep(0.01)
            continue
        opened.setblocking(False)
        task = loop.create_task(_answer(loop, opened))
        answering.add(task)
        task.add_done_callback(answering.discard)


async def _answer(loop: asyncio.AbstractEventLoop, opened: socket.socket) -> None:
    """Read a request, send as many bytes as it requests, close. A connection with anything else is closed at once."""
    with opened, contextlib.suppress(OSError):
        request = b""
        while len(request) < _HEADER.size:
            chunk = await loop.sock_recv(opened, CHUNK_BYTES)
            if not chunk:
                return
            request += chunk
        magic, size, response_bytes = _HEADER.unpack_from(request)
        if magic != _MAGIC or size > MAX_BYTES or response_bytes > MAX_BYTES:
            return
        left = size - len(request)
        while left > 0:
            chunk = await loop.sock_recv(opened, CHUNK_BYTES)
            if not chunk:
                return
            left -= len(chunk)
        for sent in range(0, response_bytes, CHUNK_BYTES):
            await loop.sock_sendall(opened, bytes(min(CHUNK_BYTES, response_bytes - sent)))
