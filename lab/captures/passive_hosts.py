"""Addresses at a site that nobody answers for: packets to them reach the site's interface and end there.

The kernel has no such address, so it neither answers nor resets a conversation. The route that drops what comes for
them, without a word to the sender, is for sites that forward packets, as they do where the machine itself does."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from pyroute2.netlink.exceptions import NetlinkError

from helsewan.emulation.netlink.interfaces import routing
from helsewan.emulation.sandbox.namespaces import Namespace

Address = IPv4Address | IPv6Address


def drop_packets_to(namespace: Namespace, addresses: Iterable[Address]) -> None:
    """Drop what comes to ``addresses``. Raises NetlinkError where a route cannot be added."""
    _change(namespace, addresses, "replace")


def accept_packets_to(namespace: Namespace, addresses: Iterable[Address]) -> None:
    """Undo `drop_packets_to`, as far as it has been done."""
    with suppress(NetlinkError):
        _change(namespace, addresses, "del")


def _change(namespace: Namespace, addresses: Iterable[Address], command: str) -> None:
    with routing(namespace) as route:
        for address in addresses:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            prefix = f"{address}/{address.max_prefixlen}"
            route.route(command, dst=prefix, family=family, type="blackhole")
