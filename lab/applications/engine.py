"""The exchanges of a run: clients and servers of all sites in one thread, on sockets in the sites' namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from math import nan
from random import Random

import numpy as np

from helsewan.common.run_clock import RunClock
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.applications.clients import Exchanging, exchange, server_of
from helsewan.lab.applications.link import ClientLink, Link, reason_of
from helsewan.lab.applications.records import Exchange
from helsewan.lab.applications.sip.calls import CallPlan
from helsewan.lab.applications.sip.message import Address
from helsewan.lab.applications.sip.user_agent import UserAgent
from helsewan.lab.applications.sip_endpoint import SipEndpoint
from helsewan.lab.applications.tcp.end import ClientEnd, End, ProtocolError
from helsewan.lab.flows.applications import SipCall, SipTransport, Web
from helsewan.lab.flows.flow_engine import SocketIn
from helsewan.lab.flows.flowspec import ExchangeSpec
from helsewan.lab.flows.sender_health import BeginHealth

BACKLOG = 1024
MEDIA_PORTS = range(16_384, 16_640)  # offered for RTP in calls
IPAddress = IPv4Address | IPv6Address
_Agent = tuple[str, IPAddress, int, SipTransport]  # site, address, port


class ApplicationEngine:
    """Listens at every server from the beginning, and begins exchanges between start and stop.

    Errors of ``socket_in`` and ``OSError`` (address in use) leave no socket open. Raises ValueError where two
    specs want different protocols at one address."""

    def __init__(self, specs: Sequence[ExchangeSpec], socket_in: SocketIn) -> None:
        self._specs = specs
        self._socket_in = socket_in
        self._done: list[Exchange] = []
        self._late_us: list[float] = []
        self._unbegun = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: OSError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[Link] = set()
        self._idle: dict[int, list[ClientLink]] = {spec.id: [] for spec in specs}
        self._endpoints: dict[_Agent, SipEndpoint] = {}
        self._listeners: dict[tuple[str, IPAddress, int], socket.socket] = {}
        self._served: dict[tuple[str, IPAddress, int], ExchangeSpec] = {}
        self._agents: dict[_Agent, socket.socket] = {}
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for spec in specs:
                self._prepare(spec)
            undo.pop_all()

    @property
    def results(self) -> tuple[Exchange, ...]:
        """The exchanges that have ended so far."""
        return tuple(self._done)

    @property
    def health(self) -> BeginHealth:
        """How late exchanges began so far."""
        if not self._late_us:
            return BeginHealth(unbegun=self._unbegun)
        p50, p99 = np.percentile(self._late_us, (50, 99))
        return BeginHealth(float(p50), float(p99), max(self._late_us), self._unbegun)

    def start(self, epoch_ns: int) -> None:
        """Start: the specs' time 0 is ``epoch_ns`` on CLOCK_REALTIME."""
        self._loop, self._ended = asyncio.new_event_loop(), asyncio.Event()
        self._clock = RunClock()
        self._epoch_ns = epoch_ns
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="applications", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop: exchanges under way are abandoned and not counted. Raises the OSError that ended it before, if any."""
        if self._thread is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by an error
                self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
            self._thread = self._loop = None
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop, and close every socket."""
        with contextlib.suppress(OSError):
            self.stop()
        for opened in (*self._listeners.values(), *self._agents.values()):
            opened.close()
        self._listeners.clear()
        self._agents.clear()

    # --- sockets ---

    def _prepare(self, spec: ExchangeSpec) -> None:
        """Listen for ``spec`` at its server, and where it makes calls at its client."""
        if isinstance(spec.application, SipCall):
            transport = spec.application.transport
            for site, address in ((spec.client, spec.client_address), (spec.server, spec.server_address)):
                agent = site, address, spec.port, transport
                if agent not in self._agents:
                    type_ = socket.SOCK_DGRAM if transport is SipTransport.UDP else socket.SOCK_STREAM
                    self._agents[agent] = self._bound(site, address, spec.port, type_, spec.dscp)
            return
        key = spec.server, spec.server_address, spec.port
        known = self._served.setdefault(key, spec)
        if known is spec:
            self._listeners[key] = self._bound(*key, socket.SOCK_STREAM, spec.dscp)
        elif known.application.protocol != spec.application.protocol:
            raise ValueError(f"{spec.name} and {known.name} want different protocols at {spec.server}:{spec.port}")

    def _bound(self, site: str, address: IPAddress, port: int, type_: int, dscp: int) -> socket.socket:
        opened = self._open(site, address, type_, dscp)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((str(address), port))
            if type_ == socket.SOCK_STREAM:
                opened.listen(BACKLOG)
        except OSError:
            opened.close()
            raise
        return opened

    def _open(self, site: str, address: IPAddress, type_: int, dscp: int) -> socket.socket:
        """A socket at a site; what a listener accepts inherits its options."""
        if address.version == 4:
            opened = self._socket_in(site, socket.AF_INET, type_)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        else:
            opened = self._socket_in(site, socket.AF_INET6, type_)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        opened.setblocking(False)
        return opened

    # --- the thread ---

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        set_realtime(LINKS)  # else it would wait for a core with the interpreter's lock, and the timeline too
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._until_ended())
        except OSError as error:
            self._error = error
        finally:
            self._wind_up(loop)

    def _wind_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Abandon what is under way, and close every connection."""
        left = asyncio.all_tasks(loop)
        for abandoned in left:
            abandoned.cancel()
        if left:  # gather() of nothing needs a running loop
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        for link in [*self._links]:
            link.abort()
        for endpoint in self._endpoints.values():
            endpoint.close()
        loop.run_until_complete(asyncio.sleep(0))  # transports close in the loop's next round
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def _until_ended(self) -> None:
        """Serve, and begin exchanges, until ``stop``, which may come before this has begun."""
        await self._serve()
        for spec in self._specs:
            self._spawn(self._arrivals(spec))
        await self._ended.wait()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for server, listener in self._listeners.items():
            make = server_of(self._served[server].application)
            await loop.create_server(partial(self._accepted, make), sock=listener)
        for key, opened in self._agents.items():
            site, address, port, transport = key
            reliable = transport is SipTransport.TCP
            agent = UserAgent((str(address), port), MEDIA_PORTS, f"{site} {address} {transport.value}", reliable)
            endpoint = self._endpoints[key] = SipEndpoint(agent, lambda: self._clock.now_ns() // 1000)
            if reliable:
                dscp = next(spec.dscp for spec in self._specs if site in (spec.client, spec.server))
                await endpoint.over_tcp(opened, partial(self._connected, site, address, dscp))
            else:
                await endpoint.over_udp(opened)

    def _accepted(self, make: Callable[[], End]) -> Link:
        link = Link(make(), self._links.discard)
        self._links.add(link)
        return link

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no strong reference
        task.add_done_callback(self._tasks.discard)

    async def _arrivals(self, spec: ExchangeSpec) -> None:
        """Begin an exchange whenever one is due, on an absolute schedule."""
        for number, due_us in enumerate(spec.begins_us):
            try:
                await asyncio.sleep((due_us - self._now_us()) / 1e6)
            except asyncio.CancelledError:
                now_us = self._now_us()
                self._unbegun += sum(each_us < now_us for each_us in spec.begins_us[number:])
                raise
            self._late_us.append(max(self._now_us() - due_us, 0.0))
            self._spawn(self._begin(spec, Random(f"{spec.seed}:{number}")))

    def _now_us(self) -> float:
        """Since the run's start."""
        return (self._clock.now_ns() - self._epoch_ns) / 1000

    async def _begin(self, spec: ExchangeSpec, rng: Random) -> None:
        application = spec.application
        if isinstance(application, SipCall):
            await self._call(spec, application, rng)
        elif isinstance(application, Web):
            idle: list[ClientLink] = []  # a session's own
            pages = application.pages.draw(rng)
            for number in range(pages):
                await self._exchange(spec, idle, rng)
                if number + 1 < pages:
                    await asyncio.sleep(application.think_us.draw(rng) / 1e6)
            for link in idle:
                link.close()
        else:
            await self._exchange(spec, self._idle[spec.id], rng)

    async def _exchange(self, spec: ExchangeSpec, idle: list[ClientLink], rng: Random) -> None:
        begin_us = self._now_us()
        error = ""

        async def dial(end: ClientEnd) -> ClientLink:
            return await self._dial(spec, end)

        own = Exchanging(dial, idle, spec.client, rng)
        try:
            async with asyncio.timeout(spec.deadline_us / 1e6):
                await exchange(spec.application, own)
        except TimeoutError:
            error = "deadline"
        except OSError as failure:
            error = reason_of(failure)
        except ProtocolError as failure:
            error = str(failure)
        end_us = self._now_us()
        if error:
            own.abort()
        else:
            own.give_back()
        answered_us = nan if own.answered_ns is None else (own.answered_ns - self._epoch_ns) / 1000
        transferred = {"sent_bytes": own.sent_bytes, "received_bytes": own.received_bytes}
        self._done.append(
            Exchange(spec.id, begin_us, end_us, not error, error=error, answered_us=answered_us, **transferred)
        )

    async def _dial(self, spec: ExchangeSpec, end: ClientEnd) -> ClientLink:
        loop = asyncio.get_running_loop()
        opened = await self._connected(
            spec.client, spec.client_address, spec.dscp, (str(spec.server_address), spec.port)
        )
        link = ClientLink(end, self._links.discard, self._clock.now_ns)
        self._links.add(link)
        await loop.create_connection(lambda: link, sock=opened)
        return link

    async def _connected(self, site: str, address: IPAddress, dscp: int, peer: Address) -> socket.socket:
        opened = self._open(site, address, socket.SOCK_STREAM, dscp)
        try:
            await asyncio.get_running_loop().sock_connect(opened, peer)
        except BaseException:
            opened.close()
            raise
        return opened

    async def _call(self, spec: ExchangeSpec, application: SipCall, rng: Random) -> None:
        endpoint = self._endpoints[spec.client, spec.client_address, spec.port, application.transport]
        hang_up_by_us = self._epoch_ns // 1000 + spec.stop_us  # or the run would end before many a call
        plan = CallPlan(
            application.ring_us.draw(rng), application.duration_us.draw(rng), spec.deadline_us, hang_up_by_us
        )
        caller = await endpoint.call((str(spec.server_address), spec.port), plan)
        assert caller.ended_us is not None
        epoch_us = self._epoch_ns / 1000
        answered_us = nan if caller.answered_us is None else caller.answered_us - epoch_us
        begin_us, end_us = caller.began_us - epoch_us, caller.ended_us - epoch_us
        self._done.append(Exchange(spec.id, begin_us, end_us, not caller.error, 0, caller.error, answered_us))
