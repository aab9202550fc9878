"""Fast rtnetlink client for operations on thousands of interfaces at start; ``interfaces.py`` has all others.

A socket is open only during a request, as thousands of namespaces would otherwise hold one each.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path

from helsewan.emulation.netlink import messages
from helsewan.emulation.netlink.messages import Address
from helsewan.emulation.sandbox.namespaces import Namespace

_NETLINK_ROUTE = 0
_ANSWER_BYTES = 32_768  # longer than any single reply
_TOGETHER = 32  # messages per batch, so that they and their replies fit the socket's buffers
HAS_IPV6 = Path("/proc/sys/net/ipv6").exists()  # a kernel without IPv6 refuses its messages


class Netlink:
    """rtnetlink requests for one namespace. Methods raise OSError that names the refused request and the reason."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._index: dict[str, int] = {}
        self._batch: list[tuple[str, bytes]] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Batch the requests made within the block: they are sent in order at its end. All are tried; the first error
        is raised."""
        requests: list[tuple[str, bytes]] = []
        self._batch = requests
        try:
            yield
        finally:
            self._batch = None
        self._exchange(requests)

    def set_link(
        self,
        name: str,
        *,
        up: bool,
        address: str | None = None,
        mtu: int | None = None,
        txqlen: int | None = None,
    ) -> None:
        """Set interface ``name`` up or down, and set its MAC address, MTU, and queue length in frames."""
        message = messages.set_link(self.index_of(name), up=up, address=address, mtu=mtu, txqlen=txqlen)
        self._send(f"set interface {name} {'up' if up else 'down'}", message)

    def withhold_ipv6(self, name: str) -> None:
        """Disable automatic IPv6 addresses on interface ``name``, so that it sends no IPv6 of its own when it comes
        up."""
        if HAS_IPV6:
            self._send(f"disable automatic IPv6 on interface {name}", messages.withhold_ipv6(self.index_of(name)))

    def is_up(self, name: str) -> bool:
        """Whether ``name`` is administratively up."""
        return messages.is_up(self._link(name))

    def set_loopback_address(
        self, address: IPv4Address, instead_of: IPv4Address | None = None, also_on: Iterable[str] = ()
    ) -> None:
        """Set the node's own address, replacing ``instead_of``: on ``lo``, where it stays reachable whichever access
        link is up, and on the interfaces ``also_on``, for programs that take an interface's address as their source."""
        lo = messages.LOOPBACK_INDEX
        self._send("set interface lo up", messages.set_link(lo, up=True))
        for name, index in (("lo", lo), *((name, self.index_of(name)) for name in also_on)):
            self._send(f"set address {address} on {name}", messages.set_address(index, address))
            if instead_of is not None and instead_of != address:
                self._send(f"remove address {instead_of} from {name}", messages.delete_address(index, instead_of))

    def set_address(self, address: IPv4Address, name: str) -> None:
        """Give interface ``name`` a host address (/32)."""
        self._send(f"set address {address} on {name}", messages.set_address(self.index_of(name), address))

    def set_ipv6(
        self, address: IPv6Address, link_local: IPv6Address, gateway: IPv6Address, name: str, metric: int
    ) -> None:
        """Configure IPv6 on ``name``: the node's own address, which is on ``lo`` and here, the link-local address, from
        which the kernel sends the unicast solicitations of neighbour unreachability detection (RFC 4861, 7.3), and a
        default route. The kernel removes all but the address on ``lo`` when the interface goes down."""
        if HAS_IPV6:
            index = self.index_of(name)
            for where, own in ((index, link_local), (messages.LOOPBACK_INDEX, address), (index, address)):
                self._send(f"set address {own}", messages.set_address(where, own))
            self.set_default_route(gateway, name, address, metric)

    def set_default_route(self, gateway: Address, name: str, source: Address, metric: int) -> None:
        """Set a default route over ``name``; the gateway is on-link although no prefix covers it."""
        message = messages.set_default_route(gateway, self.index_of(name), source, metric)
        self._send(f"set default route by {gateway} on {name}", message)

    def set_neighbour(self, address: IPv4Address | IPv6Address, name: str, mac: str) -> None:
        """Add a permanent neighbour entry on interface ``name``. The kernel removes it when the interface goes down."""
        if HAS_IPV6 or address.version == 4:
            message = messages.set_neighbour(address, self.index_of(name), mac)
            self._send(f"set neighbour {address} on {name}", message)

    def set_link_route(self, destination: IPv4Address, name: str) -> None:
        """Set a host route to an address that is on the link of ``name``."""
        message = messages.set_link_route(destination, self.index_of(name))
        self._send(f"set route to {destination} on {name}", message)

    def statistics(self, name: str) -> dict[str, int]:
        """The kernel's counters of ``name`` (``rx_dropped``, ``tx_dropped``, ``rx_packets`` ...)."""
        return messages.statistics(self._link(name))

    def request(self, requests: Iterable[tuple[str, bytes]]) -> None:
        """Send messages (such as those of ``traffic_control``) in order, each with a description for errors."""
        remaining = iter(requests)
        while batch := list(islice(remaining, _TOGETHER)):
            self._exchange(batch)

    def index_of(self, name: str) -> int:
        """The interface's index. Raises OSError when there is none of that name."""
        if name not in self._index:
            with self._namespace.entered():
                try:
                    self._index[name] = socket.if_nametoindex(name)
                except OSError as error:
                    raise OSError(error.errno, f"no interface {name} in this namespace") from None
        return self._index[name]

    def _link(self, name: str) -> bytes:
        (answer,) = self._exchange([(f"get interface {name}", messages.get_link(self.index_of(name)))])
        return answer

    def _send(self, what: str, message: bytes) -> None:
        if self._batch is None:
            self._exchange([(what, message)])
        else:
            self._batch.append((what, message))

    def _exchange(self, requests: list[tuple[str, bytes]]) -> list[bytes]:
        """Send the messages as one datagram; returns the replies other than acknowledgements."""
        if not requests:
            return []
        answers: list[bytes] = []
        refused: OSError | None = None
        with self._namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as opened:
            opened.send(b"".join(messages.numbered(message, n) for n, (_, message) in enumerate(requests)))
            outstanding = len(requests)
            while outstanding:
                for kind, number, body in messages.replies(opened.recv(_ANSWER_BYTES)):
                    if kind != messages.NLMSG_ERROR:
                        answers.append(body)
                        continue
                    outstanding -= 1
                    if (error := messages.error_of(body)) and refused is None:
                        refused = OSError(error, f"{requests[number][0]}: {os.strerror(error)}")
        if refused is not None:
            raise refused
        return answers
