"""Tries in a new sandbox what a run does there, a step each; run as a script, so it imports the standard library alone.

Prints the first step that was refused, with the reason, and exits with 1. With the argument ``no-tap`` it leaves that
step out.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_TUNSETIFF, _IFF_TAP_NO_PI = 0x400454CA, 0x1002
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def loopback() -> None:
    """Bring the loopback interface up: CAP_NET_ADMIN."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def packet_socket() -> None:
    """Open a packet socket, as Open vSwitch does for each port: CAP_NET_RAW."""
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


def tap() -> None:
    """Create a TAP interface: the device, and CAP_NET_ADMIN."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"tried", _IFF_TAP_NO_PI))
    finally:
        os.close(device)


def tmpfs() -> None:
    """Mount a private /run: CAP_SYS_ADMIN, and AppArmor."""
    _check(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    _check(_LIBC.mount(b"tmpfs", b"/run", b"tmpfs", 0, None))


STEPS: dict[str, Callable[[], None]] = {
    "set interface lo up": loopback,
    "packet socket": packet_socket,
    "TAP interface": tap,
    "mount tmpfs on /run": tmpfs,
}


def main(argv: list[str]) -> int:
    """Returns the exit status: 1 where a step was refused."""
    for name, step in STEPS.items():
        if step is tap and "no-tap" in argv:
            continue
        try:
            step()
        except OSError as error:
            print(f"{name}: {error.strerror}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
