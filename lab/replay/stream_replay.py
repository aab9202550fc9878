"""One TCP connection of a capture, had again by two sockets: every end says what it said, in order, once it has heard
what it had heard before, and not before it has thought as long as then."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from helsewan.lab.captures.conversations import Act, Event
from helsewan.lab.replay.replay_records import RecordFile

_CHUNK_BYTES = 65_536
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # struct linger: close(2) sends RST


@dataclass(frozen=True, slots=True)
class Timing:
    """The run's clock: ``now_ns`` (CLOCK_REALTIME), when a run's time 0 is, and ``late``, which takes how late an act
    was (ns)."""

    now_ns: Callable[[], int]
    epoch_ns: int
    late: Callable[[int], None]

    async def wait_until(self, time_ns: int) -> None:
        """Sleep until ``time_ns`` (CLOCK_REALTIME)."""
        if (left_ns := time_ns - self.now_ns()) > 0:
            await asyncio.sleep(left_ns / 1e9)


@dataclass(slots=True)
class _End:
    """One end: its socket, what it has still to do, and what it has heard (bytes, and when last). ``ahead`` is what was
    said to it and not heard yet, ``marks`` the records of that by where each ends. ``told`` counts what the other end
    says to it in all acts known so far, the last of which is due at ``told_due_ns``."""

    opened: socket.socket | None = None
    listening: asyncio.Task[None] | None = None
    acts: asyncio.Queue[tuple[Event, int, int]] = field(default_factory=asyncio.Queue)
    heard: int = 0
    heard_ns: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ahead: bytearray = field(default_factory=bytearray)
    marks: deque[tuple[int, int]] = field(default_factory=deque)
    said_to: int = 0
    told: int = 0
    told_due_ns: int = 0


class StreamReplay:
    """A connection; ``connect`` opens it and returns the client's and the server's socket, or raises OSError or
    TimeoutError. ``wrong`` is called where other bytes are heard than were said."""

    def __init__(
        self,
        records: RecordFile,
        timing: Timing,
        connect: Callable[[], Awaitable[tuple[socket.socket, socket.socket]]],
        wrong: Callable[[], None],
    ) -> None:
        self.outstanding = 0  # bytes of acts that are not done
        self._records, self._timing, self._connect, self._wrong = records, timing, connect, wrong
        self._ends = _End(), _End()  # client's, server's
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[bool] = self._loop.create_future()

    def open(self, event: Event, is_denied: bool) -> None:
        """Begin, at the event's time. Of a connection that the policy denies, and that is not opened, the rest is left
        out; of another it is lost."""
        client, server = self._ends
        self._tasks = [
            asyncio.create_task(self._open(event)),
            asyncio.create_task(self._act(client, server, is_denied)),
            asyncio.create_task(self._act(server, client, is_denied)),
        ]

    def add(self, event: Event) -> None:
        """Let an end do something, after all that was added before."""
        here, there = self._ends if event.by_client else self._ends[::-1]
        here.acts.put_nowait((event, here.told, event.due_ns - here.told_due_ns))
        self.outstanding += len(event.data)
        if event.data:
            there.told += len(event.data)
            there.told_due_ns = event.due_ns

    @property
    def is_done(self) -> bool:
        """Whether both ends have closed it, or it was not opened."""
        return all(task.done() for task in self._tasks)

    async def end(self) -> None:
        """Abandon what is left, and close both sockets."""
        listening = [end.listening for end in self._ends if end.listening is not None]
        for task in (*self._tasks, *listening):
            task.cancel()
        await asyncio.gather(*self._tasks, *listening, return_exceptions=True)
        for end in self._ends:
            if end.opened is not None:
                end.opened.close()

    async def _open(self, event: Event) -> None:
        due_ns = self._timing.epoch_ns + event.due_ns
        await self._timing.wait_until(due_ns)
        now_ns = self._timing.now_ns()
        self._timing.late(now_ns - due_ns)
        index = self._records.append(now_ns, event.flow, event.number, event.loop)
        try:
            sockets = await self._connect()
        except (OSError, TimeoutError):
            self._opened.set_result(False)
            return
        self._records.received(index, self._timing.now_ns())
        for end, opened in zip(self._ends, sockets, strict=True):
            end.opened = opened
            end.listening = asyncio.create_task(self._listen(end, opened))
        self._opened.set_result(True)

    async def _act(self, end: _End, other: _End, is_denied: bool) -> None:
        """Do what ``end`` does, until it closes."""
        is_open = await self._opened
        while True:
            event, needed, thought_ns = await end.acts.get()
            due_ns = self._timing.epoch_ns + event.due_ns
            if is_open:
                while end.heard < needed:
                    end.news.clear()
                    await end.news.wait()
                if needed:
                    due_ns = max(due_ns, end.heard_ns + thought_ns)
            await self._timing.wait_until(due_ns)
            self.outstanding -= len(event.data)
            if event.act is Act.SAY and (is_open or not is_denied):
                now_ns = self._timing.now_ns()
                self._timing.late(now_ns - due_ns)
                index = self._records.append(now_ns, event.flow, event.number, event.loop)
                if end.opened is not None:
                    other.said_to += len(event.data)
                    other.ahead += event.data
                    other.marks.append((other.said_to, index))
                    with suppress(OSError):  # a connection that broke: what is said from then on is lost
                        await self._loop.sock_sendall(end.opened, event.data)
            elif event.act is not Act.SAY:
                self._close(end, event.act)
                return

    def _close(self, end: _End, act: Act) -> None:
        if end.opened is None:
            return
        with suppress(OSError):
            if act is Act.CLOSE:
                end.opened.shutdown(socket.SHUT_WR)
                return
            end.opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            end.opened.shutdown(socket.SHUT_WR)  # the reset follows when the conversation is over

    async def _listen(self, end: _End, opened: socket.socket) -> None:
        """Hear what is said to ``end``, until the other end closes."""
        with suppress(OSError):
            while data := await self._loop.sock_recv(opened, _CHUNK_BYTES):
                now_ns = self._timing.now_ns()
                if not end.ahead.startswith(data):
                    self._wrong()
                del end.ahead[: len(data)]
                end.heard += len(data)
                end.heard_ns = now_ns
                while end.marks and end.marks[0][0] <= end.heard:
                    self._records.received(end.marks.popleft()[1], now_ns)
                end.news.set()
