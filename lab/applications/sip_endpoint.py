"""A SIP user agent on sockets of its site: one UDP socket, or TCP connections, on an asyncio loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from helsewan.lab.applications.sip.calls import Caller, CallPlan
from helsewan.lab.applications.sip.message import Address, StreamReader
from helsewan.lab.applications.sip.user_agent import UserAgent
from helsewan.lab.applications.tcp.end import ProtocolError

Connect = Callable[[Address], Awaitable[socket.socket]]


class SipEndpoint:
    """An agent and what carries its messages. ``now_us`` is the clock of all its times."""

    def __init__(self, agent: UserAgent, now_us: Callable[[], int]) -> None:
        self.agent = agent
        self._now_us = now_us
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[Caller, asyncio.Future[None]] = {}
        self._send: Callable[[bytes, Address], None] = lambda message, peer: None
        self._closing = contextlib.ExitStack()

    async def over_udp(self, opened: socket.socket) -> None:
        """Use a bound UDP socket."""
        transport, _ = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self.received), sock=opened)
        self._send = transport.sendto
        self._closing.callback(transport.abort)

    async def over_tcp(self, listener: socket.socket, connect: Connect) -> None:
        """Use a listening socket, and ``connect`` for calls to others."""
        streams = _Streams(self.received, connect, self._loop)
        server = await self._loop.create_server(streams.accepted, sock=listener)
        self._send = streams.send
        self._closing.callback(streams.close)
        self._closing.callback(server.close)

    async def call(self, peer: Address, plan: CallPlan) -> Caller:
        """Call the agent at ``peer`` and wait until the call is over."""
        caller = self.agent.call(peer, plan, self._now_us())
        self._waiting[caller] = self._loop.create_future()
        self._drain()
        try:
            await self._waiting[caller]
        finally:
            del self._waiting[caller]
        return caller

    def received(self, message: bytes, source: Address) -> None:
        """A message arrived."""
        self.agent.receive(message, source, self._now_us())
        self._drain()

    def close(self) -> None:
        """Close what carries it."""
        if self._timer is not None:
            self._timer.cancel()
        self._closing.close()

    def _fire(self) -> None:
        self.agent.fire(self._now_us())
        self._drain()

    def _drain(self) -> None:
        """Send what the agent has to send, tell whose calls are over, and see to the timer."""
        while self.agent.outbox:
            self._send(*self.agent.outbox.popleft())
        while self.agent.ended:
            waiting = self._waiting.get(self.agent.ended.popleft())
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        due_us = self.agent.due_us
        self._timer = None
        if due_us is not None:
            self._timer = self._loop.call_later(max(due_us - self._now_us(), 0) / 1e6, self._fire)


Received = Callable[[bytes, Address], None]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Received) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, (addr[0], addr[1]))


class _Streams:
    """TCP connections by the address of their far end; one is opened when there is none to send on."""

    def __init__(self, received: Received, connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
        self.received = received
        self.open: dict[Address, _Stream] = {}
        self._connect, self._loop = connect, loop
        self._connecting: dict[Address, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(self) -> _Stream:
        return _Stream(self)

    def send(self, message: bytes, peer: Address) -> None:
        if peer in self.open:
            self.open[peer].write(message)
        elif peer in self._connecting:
            self._connecting[peer].append(message)
        else:
            self._connecting[peer] = [message]
            task = self._loop.create_task(self._opened(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _opened(self, peer: Address) -> None:
        try:
            opened = await self._connect(peer)
            _, stream = await self._loop.create_connection(lambda: _Stream(self), sock=opened)
            for message in self._connecting[peer]:
                stream.write(message)
        except OSError:  # the transaction's timer notices
            pass
        finally:
            del self._connecting[peer]

    def close(self) -> None:
        for stream in list(self.open.values()):
            stream.abort()


class _Stream(asyncio.Protocol):
    def __init__(self, streams: _Streams) -> None:
        self._streams = streams
        self._reader = StreamReader()
        self._transport: asyncio.Transport | None = None
        self._peer: Address = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = transport.get_extra_info("peername")[:2]
        self._streams.open[self._peer] = self

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                self._streams.received(message, self._peer)
        except ProtocolError:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._streams.open.get(self._peer) is self:
            del self._streams.open[self._peer]

    def write(self, message: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(message)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
