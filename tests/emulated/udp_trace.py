"""What a traceroute sees: a datagram for each TTL, and the ICMP error that comes back on it, as JSON lines.

``python udp_trace.py SOURCE ADDRESS PORT FIRST_TTL LAST_TTL [BYTES]``: sent from SOURCE with don't-fragment set. An
error is [type, code, who sent it, MTU, milliseconds]; ``null`` where none came within a second.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

IP_RECVERR, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE = 11, 10, 3
PATIENCE_MS = 1000


def answer(source: str, address: str, port: int, ttl: int, size: int) -> list[object] | None:
    """The ICMP error on one datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        began = time.monotonic()
        sender.sendto(bytes(size), (address, port))
        poll = select.poll()
        poll.register(sender, 0)  # errors are always reported
        if not poll.poll(PATIENCE_MS):
            return None
        took_ms = (time.monotonic() - began) * 1000
        _, control, _, _ = sender.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
        # struct sock_extended_err, then the offender's struct sockaddr_in (ip(7))
        _, _, kind, code, mtu = struct.unpack_from("IBBBxI", control[0][2])
        return [kind, code, socket.inet_ntoa(control[0][2][20:24]), mtu, round(took_ms, 3)]


def main() -> None:
    """Trace as the command line says."""
    source, address, *numbers = sys.argv[1:]
    port, first, last, *size = map(int, numbers)
    for ttl in range(first, last + 1):
        print(json.dumps(answer(source, address, port, ttl, *(size or [32]))), flush=True)


if __name__ == "__main__":
    main()
