"""Drives one end of a TCP connection on an asyncio transport."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from helsewan.lab.applications.tcp.end import ClientEnd, End, ProtocolError


class Link(asyncio.Protocol):
    """A connection and its ``end``. ``closed`` is called once when the connection is gone."""

    def __init__(self, end: End, closed: Callable[[Link], None]) -> None:
        self.end = end
        self.error = ""  # why the connection is of no further use
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.pump()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._do(lambda: self.end.receive(data))

    def eof_received(self) -> bool:
        """See asyncio.Protocol: keep the connection until the end has sent what it owes."""
        self._do(self.end.end_of_input)
        return True

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if isinstance(exc, OSError):
            self.error = self.error or reason_of(exc)
        self.error = self.error or "closed"
        if self._timer is not None:
            self._timer.cancel()
        self.moved()
        self._closed(self)

    def pump(self) -> None:
        """Send what the end has to send, as far as the connection takes it."""
        self._do(self._pump)

    def close(self) -> None:
        """End the connection once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def moved(self) -> None:
        """Something has happened; for subclasses."""

    def _pump(self) -> None:
        if self._transport is None:
            return
        while not self._paused and not self._transport.is_closing() and (chunk := self.end.outgoing()):
            self._transport.write(chunk)
        if self.end.wake_after_us is not None:
            self._timer = self._loop.call_later(self.end.wake_after_us / 1e6, self._wake)
            self.end.wake_after_us = None
        if self.end.closing and not self._paused:
            self._transport.close()  # after what was written

    def _wake(self) -> None:
        self._timer = None
        self._do(self.end.wake)

    def _do(self, step: Callable[[], None]) -> None:
        if self.error:
            return
        try:
            step()
            if step != self._pump:
                self._pump()
        except ProtocolError as error:
            self.error = str(error)
            self.abort()
        self.moved()


class ClientLink(Link):
    """A client's connection: waits until what it asked for is there, and takes the times."""

    end: ClientEnd

    def __init__(self, end: ClientEnd, closed: Callable[[Link], None], now_ns: Callable[[], int]) -> None:
        super().__init__(end, closed)
        self._now_ns = now_ns
        self._waiter: asyncio.Future[None] | None = None
        self.answered_ns: int | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be asked again."""
        return not self.error and not self.end.closing

    async def finished(self) -> None:
        """Send, and wait until the end is finished. Raises ConnectionError with the reason why it will not be."""
        self._waiter = self._loop.create_future()
        if not self.end.answered:
            self.answered_ns = None
        self.pump()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def moved(self) -> None:
        """See ``Link``."""
        if self.end.answered and self.answered_ns is None:
            self.answered_ns = self._now_ns()
        if self._waiter is None or self._waiter.done():
            return
        if self.end.finished:
            self._waiter.set_result(None)
        elif self.error:
            self._waiter.set_exception(ConnectionError(self.error))


def reason_of(error: OSError) -> str:
    """Why a connection failed, in the system's words; asyncio adds addresses to them."""
    return os.strerror(error.errno) if error.errno else str(error)
