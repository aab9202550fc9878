"""The addresses at a site that stand for those of a capture: such as nobody answers for, and such as the site has.

Where packets are replayed, the kernel must not have their addresses, so that it neither answers nor resets a
conversation. The route that drops what comes for them, without a word to the sender, is for sites that forward packets,
as they do where the machine itself does."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from helsewan.emulation.netlink.interfaces import routing
from helsewan.emulation.sandbox.namespaces import Namespace

Address = IPv4Address | IPv6Address
_LOOPBACK = 1  # interface number, in every namespace
_NO_DETECTION = 0x02  # IFA_F_NODAD: in use at once


def drop_packets_to(namespace: Namespace, addresses: Iterable[Address]) -> None:
    """Drop what comes to ``addresses``. Raises NetlinkError where a route cannot be added."""
    with routing(namespace) as route:
        for address in addresses:
            route.route("replace", type="blackhole", **_destination(address))


def accept_packets_to(namespace: Namespace, addresses: Iterable[Address]) -> None:
    """Undo `drop_packets_to`, as far as it has been done."""
    with routing(namespace) as route:
        for address in addresses:
            with suppress(NetlinkError):
                route.route("del", type="blackhole", **_destination(address))


def add_addresses(namespace: Namespace, addresses: Iterable[Address]) -> None:
    """Give the site ``addresses``. Raises NetlinkError where that fails."""
    with routing(namespace) as route:
        for address in addresses:
            flags = {"flags": _NO_DETECTION} if address.version == 6 else {}
            route.addr("replace", index=_LOOPBACK, address=str(address), prefixlen=address.max_prefixlen, **flags)


def remove_addresses(namespace: Namespace, addresses: Iterable[Address]) -> None:
    """Undo `add_addresses`, as far as it has been done."""
    with routing(namespace) as route:
        for address in addresses:
            with suppress(NetlinkError):
                route.addr("del", index=_LOOPBACK, address=str(address), prefixlen=address.max_prefixlen)


def _destination(address: Address) -> dict[str, Any]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return {"dst": f"{address}/{address.max_prefixlen}", "family": family}
