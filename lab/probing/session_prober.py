"""Sessions between sites by plain sockets: TCP connections, datagrams with an echo, pings.

A server listens wherever one is to be talked to, so that what does not come about is the network's doing.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from helsewan.controller.slowpath.icmp import ICMP, checksum
from helsewan.controller.slowpath.icmp6 import ICMPV6
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.policies.plan import Protocol

RATE_PER_S = 150  # conversations begun
PATIENCE_S = 3.5  # a stack that got no answer to its SYN asks again after one second, and after two more (RFC 6298)
BACKLOG = 128
_ECHO4, _ECHO6 = (8, 0), (128, 129)  # types of the request and the reply
_DATAGRAM_EVERY_S = 1.0  # until it is answered: one may be lost
_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Call:
    """A conversation to be had: between which sites, as which addresses, and about what (``port`` 0: a ping)."""

    client: str
    server: str
    client_address: str
    server_address: str
    protocol: int
    port: int


@dataclass
class _Open:
    """An open session."""

    number: int
    call: Call
    socket: socket.socket
    until: float
    again_at: float = 0.0


def run_sessions(
    sites: Mapping[str, Namespace], calls: Sequence[Call], is_over: Callable[[], bool] = lambda: False
) -> tuple[bool | None, ...]:
    """Whether each of the conversations came about; None where it could not be tried, for the server has something of
    its own at the port. Raises OSError where a site has no socket to give."""
    with ExitStack() as held:
        talker = _SessionProber(sites, held)
        began, untried = time.monotonic(), set[int]()
        for number, call in enumerate(calls):
            while (left_s := began + number / RATE_PER_S - time.monotonic()) > 0:
                talker.work(left_s)
            if talker.is_heard(call):
                talker.begin(number, call)
            else:
                untried.add(number)
            if is_over():
                break
        while talker.under_way and not is_over():
            talker.work(0.05)
        return tuple(None if number in untried else number in talker.done for number in range(len(calls)))


@dataclass
class _SessionProber:
    """All sockets of the sessions: ``held`` closes them."""

    sites: Mapping[str, Namespace]
    held: ExitStack
    done: set[int] = field(default_factory=set)
    under_way: dict[int, _Open] = field(default_factory=dict)
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

    def is_heard(self, call: Call) -> bool:
        """Have the server listen; whether it does."""
        key = call.server, call.server_address, call.protocol, call.port
        if call.protocol == Protocol.ICMP:
            return True
        if key not in self.servers:
            self.servers[key] = self._server(call)
        return self.servers[key] is not None

    def _server(self, call: Call) -> socket.socket | None:
        is_tcp = call.protocol == Protocol.TCP
        opened = self._socket(call.server, call.server_address, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
        if is_tcp:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # though the last questions were just now
        try:
            opened.bind((call.server_address, call.port))
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

    def begin(self, number: int, call: Call) -> None:
        """The client's first packet."""
        now = time.monotonic()
        if call.protocol == Protocol.ICMP:
            is_v6 = ip_address(call.server_address).version == 6
            opened = self._socket(call.client, call.client_address, socket.SOCK_RAW, ICMPV6 if is_v6 else ICMP)
        else:
            kind = socket.SOCK_STREAM if call.protocol == Protocol.TCP else socket.SOCK_DGRAM
            opened = self._socket(call.client, call.client_address, kind)
        opened.bind((call.client_address, 0))
        self.under_way[opened.fileno()] = one = _Open(number, call, opened, now + PATIENCE_S)
        connecting = call.protocol == Protocol.TCP
        result = opened.connect_ex((call.server_address, call.port))
        if connecting and result not in (0, errno.EINPROGRESS):
            self._end(one, came_about=False)
            return
        self.epoll.register(opened, select.EPOLLOUT if connecting else select.EPOLLIN)
        self._say(one, now)

    def _say(self, one: _Open, now: float) -> None:
        """A datagram or a ping, again where it was not answered."""
        one.again_at = now + _DATAGRAM_EVERY_S
        if one.call.protocol == Protocol.UDP:
            with suppress(OSError):
                one.socket.send(_word(one))
        elif one.call.protocol == Protocol.ICMP:
            with suppress(OSError):
                one.socket.send(_ping(one))

    def work(self, seconds: float) -> None:
        """Go on with all conversations for so long at most."""
        for descriptor, _ in self.epoll.poll(min(seconds, 0.05)):
            if listener := self.listeners.get(descriptor):
                with suppress(OSError):
                    listener.accept()[0].close()
            elif echoing := self.echoes.get(descriptor):
                with suppress(OSError):
                    echoing.sendto(*echoing.recvfrom(_BYTES))
            elif one := self.under_way.get(descriptor):
                self._go_on(one)
        now = time.monotonic()
        for one in list(self.under_way.values()):
            if now >= one.until:
                self._end(one, came_about=False)
            elif now >= one.again_at:
                self._say(one, now)

    def _go_on(self, one: _Open) -> None:
        if one.call.protocol == Protocol.TCP:
            self._end(one, one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)
            return
        try:
            said = one.socket.recv(_BYTES)
        except OSError:  # told that it was not to be
            return
        if _word(one) in said and (one.call.protocol == Protocol.UDP or _is_echo_reply(one, said)):
            self._end(one, came_about=True)

    def _end(self, one: _Open, came_about: bool) -> None:
        if came_about:
            self.done.add(one.number)
        del self.under_way[one.socket.fileno()]
        one.socket.close()


def _word(one: _Open) -> bytes:
    """What tells a conversation from others."""
    return b"helsewan talk " + one.number.to_bytes(4, "big")


def _ping(one: _Open) -> bytes:
    is_v6 = ip_address(one.call.server_address).version == 6
    kind = (_ECHO6 if is_v6 else _ECHO4)[0]
    message = bytes([kind, 0, 0, 0]) + (one.number & 0xFFFF).to_bytes(2, "big") + bytes(2) + _word(one)
    if is_v6:  # the kernel puts the checksum in (RFC 3542, 3.1)
        return message
    return message[:2] + checksum(message).to_bytes(2, "big") + message[4:]


def _is_echo_reply(one: _Open, said: bytes) -> bool:
    """Whether what a raw socket got is the answer; of IPv4 it has the header, too."""
    if ip_address(one.call.server_address).version == 6:
        return said[0] == _ECHO6[1]
    return said[(said[0] & 15) * 4] == _ECHO4[1]
