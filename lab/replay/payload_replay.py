"""Has the conversations of a capture again, with real sockets at the sites: TCP connections and UDP datagrams."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress

from helsewan.common.run_clock import RunClock
from helsewan.lab.captures.conversations import Act, Ends, Event, replay_events
from helsewan.lab.captures.ip_packet import UDP
from helsewan.lab.flows.flow_engine import SocketIn
from helsewan.lab.flows.replay_plan import Host, ReplayPlan
from helsewan.lab.replay.replay_counts import ReplayCounts
from helsewan.lab.replay.replay_records import RecordFile
from helsewan.lab.replay.socket_buffers import dropped_by, enlarge_buffer
from helsewan.lab.replay.stream_replay import StreamReplay, Timing

Address = tuple[str, int]
_AHEAD_NS = 500_000_000  # events are given to their conversations so long before they are due
_READ_AT_ONCE = 200  # events, before others get their turn
_MOST_OUTSTANDING = 32 << 20  # bytes read and not said yet: conversations that the network holds up
_CONNECT_S = 10.0
_BACKLOG = 1024
_DATAGRAM_BYTES = 65_535


class PayloadReplay:
    """The replay of ``plan`` from sockets at the sites, made by ``socket_in``; ``records`` gets every connection
    opened, and everything said."""

    def __init__(self, plan: ReplayPlan, socket_in: SocketIn, records: RecordFile) -> None:
        self.counts = ReplayCounts()
        self._plan, self._socket_in, self._records = plan, socket_in, records
        self._events = replay_events(plan)
        self._first = next(self._events, None)
        self._streams: dict[tuple[int, Ends], StreamReplay] = {}
        self._listeners: dict[Address, tuple[socket.socket, asyncio.Task[None]]] = {}
        self._accepting: dict[Address, asyncio.Future[socket.socket]] = {}
        self._datagrams: dict[Address, socket.socket] = {}
        self._under_way: defaultdict[tuple[Address, Address], dict[bytes, deque[int]]] = defaultdict(dict)

    def run(self, epoch_ns: int, stop: int) -> None:
        """Have the conversations from ``epoch_ns`` on (CLOCK_REALTIME), until descriptor ``stop`` can be read. Raises
        CaptureRefused and OSError."""
        asyncio.run(self._run(epoch_ns, stop))

    async def _run(self, epoch_ns: int, stop: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._timing = Timing(RunClock().now_ns, epoch_ns, self.counts.count_late)
        asked = asyncio.Event()
        self._loop.add_reader(stop, asked.set)
        reading = asyncio.create_task(self._read())
        stopped = asyncio.create_task(asked.wait())
        try:
            await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                await stopped
        finally:
            self._loop.remove_reader(stop)
            reading.cancel()
            await self._close()

    async def _read(self) -> None:
        """Give every event to its conversation, some time before it is due."""
        event, count = self._first, 0
        while event is not None:
            await self._timing.wait_until(self._timing.epoch_ns + event.due_ns - _AHEAD_NS)
            if event.protocol == UDP:
                self._add_datagram(event)
            else:
                self._add_to_stream(event)
            count += 1
            if count % _READ_AT_ONCE == 0:
                await self._make_room()
            event = next(self._events, None)
        self.counts.ended = True

    async def _make_room(self) -> None:
        """Let others work; forget connections that are over, and wait while too much has been read."""
        while True:
            await asyncio.sleep(0)
            for key in [key for key, stream in self._streams.items() if stream.is_done]:
                await self._streams.pop(key).end()
            if sum(stream.outstanding for stream in self._streams.values()) <= _MOST_OUTSTANDING:
                return
            await asyncio.sleep(_AHEAD_NS / 4e9)

    def _add_to_stream(self, event: Event) -> None:
        key = event.loop, event.ends
        if event.act is Act.OPEN:
            client, _, server, server_port = event.ends
            ends = self._plan.hosts[client], self._plan.hosts[server]

            async def connect() -> tuple[socket.socket, socket.socket]:
                return await self._connect(*ends, server_port)

            stream = StreamReplay(self._records, self._timing, connect, self.counts.count_wrong)
            self._streams[key] = stream
            stream.open(event, self._plan.flows[event.flow].is_denied)
        else:
            self._streams[key].add(event)

    async def _connect(self, client: Host, server: Host, port: int) -> tuple[socket.socket, socket.socket]:
        """Open a connection; returns the client's and the server's socket."""
        self._listen(server, port)
        opened = self._socket(client, socket.SOCK_STREAM)
        try:
            opened.bind((str(client.address), 0))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            own = _address(opened.getsockname())
            accepted = self._accepting[own] = self._loop.create_future()
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await self._loop.sock_connect(opened, (str(server.address), port))
                    return opened, await accepted
            finally:
                del self._accepting[own]
        except BaseException:
            opened.close()
            raise

    def _listen(self, server: Host, port: int) -> None:
        address = str(server.address), port
        if address not in self._listeners:
            listener = self._socket(server, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            self._listeners[address] = listener, asyncio.create_task(self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            opened, peer = await self._loop.sock_accept(listener)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting = self._accepting.get(_address(peer))
            if waiting is None or waiting.done():
                opened.close()  # of a client that has given up
            else:
                waiting.set_result(opened)

    def _add_datagram(self, event: Event) -> None:
        source, source_port, destination, destination_port = event.ends
        there = self._plan.hosts[destination]
        self._datagram_socket(there, destination_port)
        sending = self._datagram_socket(self._plan.hosts[source], source_port)
        to = str(there.address), destination_port
        from_ = str(self._plan.hosts[source].address), source_port
        left_ns = self._timing.epoch_ns + event.due_ns - self._timing.now_ns()
        self._loop.call_later(max(left_ns, 0) / 1e9, self._say, event, sending, from_, to)

    def _say(self, event: Event, sending: socket.socket, from_: Address, to: Address) -> None:
        due_ns, now_ns = self._timing.epoch_ns + event.due_ns, self._timing.now_ns()
        self._timing.late(now_ns - due_ns)
        index = self._records.append(now_ns, event.flow, event.number, event.loop)
        self._under_way[from_, to].setdefault(event.data, deque()).append(index)
        try:
            sending.sendto(event.data, to)
        except BlockingIOError:
            self.counts.not_sent += 1
        except OSError:
            self.counts.unreachable += 1

    def _datagram_socket(self, host: Host, port: int) -> socket.socket:
        address = str(host.address), port
        if address not in self._datagrams:
            opened = self._socket(host, socket.SOCK_DGRAM)
            enlarge_buffer(opened)
            opened.bind(address)
            self._datagrams[address] = opened
            self._loop.add_reader(opened, self._hear, opened, address)
        return self._datagrams[address]

    def _hear(self, opened: socket.socket, at: Address) -> None:
        with suppress(OSError):
            while True:
                data, peer = opened.recvfrom(_DATAGRAM_BYTES)
                now_ns = self._timing.now_ns()
                under_way = self._under_way.get((_address(peer), at), {})
                if not (indices := under_way.get(data)):
                    self.counts.stray += 1
                    continue
                self._records.received(indices.popleft(), now_ns)
                if not indices:
                    del under_way[data]

    def _socket(self, host: Host, kind: int) -> socket.socket:
        family = socket.AF_INET if host.address.version == 4 else socket.AF_INET6
        opened = self._socket_in(host.site, family, kind)
        opened.setblocking(False)
        return opened

    async def _close(self) -> None:
        for stream in self._streams.values():
            await stream.end()
        for listener, task in self._listeners.values():
            task.cancel()
            listener.close()
        for address, opened in self._datagrams.items():
            self._hear(opened, address)
            self._loop.remove_reader(opened)
            self.counts.dropped += dropped_by(opened)
            opened.close()


def _address(name: Sequence[object]) -> Address:
    """Address and port of a socket's name, which has more for IPv6."""
    return str(name[0]), int(str(name[1]))
