"""Tests sessions between sites with ordinary sockets: TCP connections, pings, and datagrams of UDP or of any other
protocol with an echo.

A server listens on every tested port, so a session that is not established was prevented by the network.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from helsewan.controller.slowpath.icmp import ICMP, checksum
from helsewan.controller.slowpath.icmp6 import ICMPV6
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.policies.plan import Protocol

RATE_PER_S = 150  # sessions started
DEADLINE_S = 3.5  # for a session: covers two retransmissions of a SYN, after 1 s and 2 s more (RFC 6298)
BACKLOG = 128
_ECHO4, _ECHO6 = (8, 0), (128, 129)  # types of the request and the reply
_RETRY_S = 1.0  # interval of datagrams and pings until one is answered: one may be lost
_BYTES = 2048
_SCTP, _SCTP_CLIENT_PORT = struct.Struct("!HHII"), 40_000  # ports, verification tag, checksum (RFC 9260, 3.1)
_REQUEST, _REPLY = b"helsewan session ", b"reply to "


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """A session to test: sites, addresses, IP protocol and server port (0 without ports)."""

    client: str
    server: str
    client_address: str
    server_address: str
    protocol: int
    port: int


@dataclass
class _Session:
    """A session in progress; ``until`` and ``retry_at`` are CLOCK_MONOTONIC, s."""

    number: int
    spec: SessionSpec
    socket: socket.socket
    until: float
    retry_at: float = 0.0


def run_sessions(
    sites: Mapping[str, Namespace], specs: Sequence[SessionSpec], cancelled: Callable[[], bool] = lambda: False
) -> tuple[bool | None, ...]:
    """Try to establish each session; returns whether it was. None: it could not be tried, as another program at the
    server uses the port. Ends early when ``cancelled`` returns True. Raises OSError where no socket can be created."""
    with ExitStack() as held:
        prober = _SessionProber(sites, held)
        began, untried = time.monotonic(), set[int]()
        for number, spec in enumerate(specs):
            while (left_s := began + number / RATE_PER_S - time.monotonic()) > 0:
                prober.work(left_s)
            if prober.listens(spec):
                prober.begin(number, spec)
            else:
                untried.add(number)
            if cancelled():
                break
        while prober.open and not cancelled():
            prober.work(0.05)
        return tuple(None if number in untried else number in prober.established for number in range(len(specs)))


@dataclass
class _SessionProber:
    """All sockets of the sessions: ``held`` closes them."""

    sites: Mapping[str, Namespace]
    held: ExitStack
    established: set[int] = field(default_factory=set)
    open: dict[int, _Session] = field(default_factory=dict)
    servers: dict[tuple[str, str, int, int], socket.socket | None] = field(default_factory=dict)
    listeners: dict[int, socket.socket] = field(default_factory=dict)
    echoes: dict[int, socket.socket] = field(default_factory=dict)
    epoll: select.epoll = field(default_factory=select.epoll)

    def __post_init__(self) -> None:
        self.held.callback(self.epoll.close)

    def _socket(self, site: str, address: str, kind: int, protocol: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        opened = self.held.enter_context(self.sites[site].socket(family, kind, protocol))
        opened.setblocking(False)
        return opened

    def listens(self, spec: SessionSpec) -> bool:
        """Let the server listen, if necessary; returns whether it does."""
        key = spec.server, spec.server_address, spec.protocol, spec.port
        if spec.protocol == Protocol.ICMP:
            return True
        if key not in self.servers:
            self.servers[key] = self._server(spec)
        return self.servers[key] is not None

    def _server(self, spec: SessionSpec) -> socket.socket | None:
        is_tcp = spec.protocol == Protocol.TCP
        opened = self._socket(spec.server, spec.server_address, *_kind(spec.protocol))
        if is_tcp:
            opened.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # connections of earlier probes may be in TIME_WAIT
        try:
            opened.bind((spec.server_address, _socket_port(spec)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            opened.close()
            return None
        if is_tcp:
            opened.listen(BACKLOG)
        (self.listeners if is_tcp else self.echoes)[opened.fileno()] = opened
        self.epoll.register(opened, select.EPOLLIN)
        return opened

    def begin(self, number: int, spec: SessionSpec) -> None:
        """Send the client's first packet."""
        now = time.monotonic()
        if spec.protocol == Protocol.ICMP:
            is_v6 = ip_address(spec.server_address).version == 6
            opened = self._socket(spec.client, spec.client_address, socket.SOCK_RAW, ICMPV6 if is_v6 else ICMP)
        else:
            opened = self._socket(spec.client, spec.client_address, *_kind(spec.protocol))
        opened.bind((spec.client_address, 0))
        self.open[opened.fileno()] = session = _Session(number, spec, opened, now + DEADLINE_S)
        connecting = spec.protocol == Protocol.TCP
        result = opened.connect_ex((spec.server_address, _socket_port(spec)))
        if connecting and result not in (0, errno.EINPROGRESS):
            self._end(session, established=False)
            return
        self.epoll.register(opened, select.EPOLLOUT if connecting else select.EPOLLIN)
        self._send(session, now)

    def _send(self, session: _Session, now: float) -> None:
        """Send a datagram or a ping, and schedule its repetition; nothing for TCP."""
        session.retry_at = now + _RETRY_S
        if session.spec.protocol == Protocol.TCP:
            return
        with suppress(OSError):
            session.socket.send(_message(session))

    def work(self, seconds: float) -> None:
        """Process events of all sessions for up to ``seconds``."""
        for descriptor, _ in self.epoll.poll(min(seconds, 0.05)):
            if listener := self.listeners.get(descriptor):
                with suppress(OSError):
                    listener.accept()[0].close()
            elif echoing := self.echoes.get(descriptor):
                with suppress(OSError):
                    _echo(echoing)
            elif session := self.open.get(descriptor):
                self._process(session)
        now = time.monotonic()
        for session in list(self.open.values()):
            if now >= session.until:
                self._end(session, established=False)
            elif now >= session.retry_at:
                self._send(session, now)

    def _process(self, session: _Session) -> None:
        if session.spec.protocol == Protocol.TCP:
            self._end(session, session.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)
            return
        try:
            data = session.socket.recv(_BYTES)
        except OSError:  # an ICMP error was reported
            return
        if _is_reply(session, data):
            self._end(session, established=True)

    def _end(self, session: _Session, established: bool) -> None:
        if established:
            self.established.add(session.number)
        del self.open[session.socket.fileno()]
        session.socket.close()


def _message(session: _Session) -> bytes:
    """What a client sends. SCTP has no checksum here, which routers do not look at (nor has it a chunk: kernels without
    SCTP pass it to raw sockets, those with it answer nothing to a verification tag of 0)."""
    if session.spec.protocol == Protocol.ICMP:
        return _ping(session)
    if session.spec.protocol == Protocol.SCTP:
        return _SCTP.pack(_SCTP_CLIENT_PORT, session.spec.port, 0, 0) + _payload(session)
    return _payload(session)


def _payload(session: _Session) -> bytes:
    """The payload that identifies a session."""
    return _REQUEST + session.number.to_bytes(4, "big")


def _kind(protocol: int) -> tuple[int, int]:
    """The type of a session's sockets, and their protocol if it is no type's own."""
    if protocol in (Protocol.TCP, Protocol.UDP):
        return (socket.SOCK_STREAM if protocol == Protocol.TCP else socket.SOCK_DGRAM), 0
    return socket.SOCK_RAW, protocol


def _socket_port(spec: SessionSpec) -> int:
    """The port of a session's sockets; raw ones have none."""
    return 0 if spec.protocol == Protocol.SCTP else spec.port


def _echo(server: socket.socket) -> None:
    """Send a datagram back. On a raw socket, which receives every packet of its protocol, only a client's, and marked
    as a reply, so that two servers never answer each other."""
    data, sender = server.recvfrom(_BYTES)
    if server.type == socket.SOCK_RAW:
        head, data = _split(server.proto, _without_header(server.family, data))
        if not data.startswith(_REQUEST):
            return
        data, sender = _swapped(head) + _REPLY + data, (sender[0], 0)
    server.sendto(data, sender)


def _without_header(family: int, data: bytes) -> bytes:
    """What a raw socket received, without the header of IPv4."""
    return data[(data[0] & 15) * 4 :] if family == socket.AF_INET else data


def _is_reply(session: _Session, data: bytes) -> bool:
    """Whether a session's socket received the reply to its request."""
    if _payload(session) not in data:
        return False
    if session.spec.protocol == Protocol.ICMP:
        return _is_echo_reply(session, data)
    if session.socket.type != socket.SOCK_RAW:
        return True
    return _split(session.spec.protocol, _without_header(session.socket.family, data))[1].startswith(_REPLY)


def _split(protocol: int, data: bytes) -> tuple[bytes, bytes]:
    """The header of SCTP, empty for other protocols, and what follows it."""
    size = _SCTP.size if protocol == Protocol.SCTP else 0
    return data[:size], data[size:]


def _swapped(head: bytes) -> bytes:
    """The SCTP header of an answer to one with ``head``."""
    return _SCTP.pack(*reversed(_SCTP.unpack(head)[:2]), 0, 0) if len(head) == _SCTP.size else b""


def _ping(session: _Session) -> bytes:
    is_v6 = ip_address(session.spec.server_address).version == 6
    kind = (_ECHO6 if is_v6 else _ECHO4)[0]
    message = bytes([kind, 0, 0, 0]) + (session.number & 0xFFFF).to_bytes(2, "big") + bytes(2) + _payload(session)
    if is_v6:  # the kernel computes the checksum (RFC 3542, 3.1)
        return message
    return message[:2] + checksum(message).to_bytes(2, "big") + message[4:]


def _is_echo_reply(session: _Session, data: bytes) -> bool:
    """Whether a raw socket received an echo reply; for IPv4 the data includes the IP header."""
    if ip_address(session.spec.server_address).version == 6:
        return data[0] == _ECHO6[1]
    return data[(data[0] & 15) * 4] == _ECHO4[1]
