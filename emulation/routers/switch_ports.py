"""Packet sockets of another process, set up from outside: Open vSwitch has no options for them.

A vswitchd reads each port through a packet socket. What the kernel lets wait there by default, 90 full frames, is less
than 3 ms at 400 Mbit/s: a switch that waits longer for its turn on a core loses frames that no line dropped.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

RECEIVE_BYTES = (
    2_400_000  # the kernel doubles it: 2,000 full frames with its own bytes for each, as many as a TAP holds
)
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_SYS_PIDFD_GETFD = 438  # Linux 5.6
_LIBC = ctypes.CDLL(None, use_errno=True)


def widen(pid: int) -> int:
    """Let ``RECEIVE_BYTES`` wait in each packet socket of process ``pid``, and have none hear what is sent (which
    vswitchd filters out, later and dearer); how many there are.

    Without the privilege each gets what ``net.core.rmem_max`` allows. Raises OSError where the process is gone, or its
    descriptors may not be had."""
    found = 0
    pidfd = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    with socket.socket(fileno=_copy(pidfd, int(name))) as sock:
                        found += sock.family == socket.AF_PACKET and _widen(sock)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBADF):  # closed since it was listed
                    raise
    finally:
        os.close(pidfd)
    return found


def _copy(pidfd: int, fd: int) -> int:
    """Our own descriptor of what is descriptor ``fd`` in the process behind ``pidfd``."""
    copy = int(_LIBC.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0))
    if copy < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"pidfd_getfd: {os.strerror(number)}")
    return copy


def _widen(sock: socket.socket) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    return True
