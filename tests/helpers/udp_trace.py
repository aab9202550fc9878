"""What a traceroute sees: a datagram for each TTL, and the ICMP error that comes back on it, as JSON lines.

``python udp_trace.py SOURCE ADDRESS PORT FIRST_TTL LAST_TTL [BYTES]``: sent from SOURCE, of either IP version, with
don't-fragment set. An error is [type, code, who sent it, MTU, milliseconds]; ``null`` where none came within a second.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import NamedTuple

PATIENCE_MS = 1000
PROBE = 3  # IP_PMTUDISC_PROBE and IPV6_PMTUDISC_PROBE: don't fragment, and don't go by what is known of the path
_EXTENDED_ERR_BYTES = 16  # struct sock_extended_err (ip(7)), before the offender's struct sockaddr_in or sockaddr_in6


class Version(NamedTuple):
    """An IP version's socket options (linux/in.h, linux/in6.h), and where its address stands in a socket address."""

    family: int
    level: int
    report_errors: int
    discover_mtu: int
    ttl: int
    address: slice


VERSIONS = {
    False: Version(socket.AF_INET, socket.IPPROTO_IP, 11, 10, socket.IP_TTL, slice(4, 8)),
    True: Version(socket.AF_INET6, socket.IPPROTO_IPV6, 25, 23, socket.IPV6_UNICAST_HOPS, slice(8, 24)),
}


def answer(source: str, address: str, port: int, ttl: int, size: int) -> list[object] | None:
    """The ICMP error on one datagram."""
    version = VERSIONS[":" in address]
    with socket.socket(version.family, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.setsockopt(version.level, version.report_errors, 1)
        sender.setsockopt(version.level, version.discover_mtu, PROBE)
        sender.setsockopt(version.level, version.ttl, ttl)
        began = time.monotonic()
        sender.sendto(bytes(size), (address, port))
        poll = select.poll()
        poll.register(sender, 0)  # errors are always reported
        if not poll.poll(PATIENCE_MS):
            return None
        took_ms = (time.monotonic() - began) * 1000
        _, control, _, _ = sender.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
        _, _, kind, code, mtu = struct.unpack_from("IBBBxI", control[0][2])
        offender = control[0][2][_EXTENDED_ERR_BYTES:][version.address]
        return [kind, code, socket.inet_ntop(version.family, offender), mtu, round(took_ms, 3)]


def main() -> None:
    """Trace as the command line says."""
    source, address, *numbers = sys.argv[1:]
    port, first, last, *size = map(int, numbers)
    for ttl in range(first, last + 1):
        print(json.dumps(answer(source, address, port, ttl, *(size or [32]))), flush=True)


if __name__ == "__main__":
    main()
