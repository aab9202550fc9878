"""Sets options of another process's packet sockets, for which Open vSwitch has no settings.

A vswitchd reads each port through a packet socket. Its default receive buffer, 90 full frames, holds less than 3 ms at
400 Mbit/s: a switch that waits longer for a core would lose frames that no link dropped.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

RECEIVE_BYTES = 2_400_000  # the kernel doubles it: 2,000 full frames with their overhead, as many as a TAP holds
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_SYS_PIDFD_GETFD = 438  # Linux 5.6
_FILTERED = (errno.EPERM, errno.ENOSYS)
_LIBC = ctypes.CDLL(None, use_errno=True)


def widen(pid: int) -> int:
    """Set the receive buffer of each packet socket of process ``pid`` to ``RECEIVE_BYTES``, and let none receive
    outgoing frames (which vswitchd would discard, at a higher cost). Returns the number of sockets.

    Without the privilege ``net.core.rmem_max`` limits the buffer. Where a filter of system calls forbids to copy
    descriptors (Docker's, without CAP_SYS_PTRACE) the sockets stay as they are, and 0 is returned: what they then drop
    is counted, so a run that it matters to says so. Raises OSError if the process has ended."""
    found = 0
    pidfd = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    with socket.socket(fileno=_copy(pidfd, int(name))) as sock:
                        found += sock.family == socket.AF_PACKET and _widen(sock)
            except OSError as error:
                if error.errno in _FILTERED:
                    return 0
                if error.errno not in (errno.ENOENT, errno.EBADF):  # closed after it was listed
                    raise
    finally:
        os.close(pidfd)
    return found


def can_widen() -> bool:
    """Whether this process may copy descriptors, as ``widen`` does; tried with one of its own."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        os.close(_copy(pidfd, pidfd))
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)


def _copy(pidfd: int, fd: int) -> int:
    """Duplicate descriptor ``fd`` of the process ``pidfd`` into this process."""
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
