"""Continues a running program in new namespaces: in a child process, or in the calling thread alone.

A child process is the first of a pid namespace, so the kernel ends all that descends from it. It is a copy of this
process without its other threads; a program that has some can only move the calling thread. Then `guardian`, a process
of its own, ends what is left in the mount namespace when the program has ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from typing import NoReturn

from helsewan.common.processes import die_with_parent
from helsewan.emulation.sandbox.namespaces import adopt_orphans, mount_proc, unshare

_FORWARDED = frozenset(
    (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
)
_BY_KERNEL = 0x80  # si_code SI_KERNEL: from the terminal, whose other processes get the signal too
_ERROR = b"error "
_REFUSED = 2  # exit code


def has_threads() -> bool:
    """Whether the calling thread is not the program's only Python thread."""
    return len(sys._current_frames()) > 1 or threading.current_thread() is not threading.main_thread()


def continue_in_child(user: bool) -> None:
    """Return in a child process, the first of new pid, network and mount namespaces (with ``user`` also of a user
    namespace, for ordinary users). This process forwards signals to it, ends as it does, and never returns.

    Raises OSError where the namespaces cannot be created."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # closed, or none
            stream.flush()
    reading, writing = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    middle = _fork()
    if middle:  # the original process
        os.close(writing)
        _wait_as_parent(middle, reading)
    os.close(reading)
    die_with_parent()
    try:
        unshare(user, pid=True)
        child = _fork()
    except OSError as error:
        os.write(writing, _ERROR + str(error).encode())
        os._exit(_REFUSED)
    if child:  # between both: its parent may have threads of libraries, which a user namespace does not allow
        os.write(writing, f"{child} ".encode())
        _, status = os.waitpid(child, 0)
        os.write(writing, f"{status}".encode())
        os._exit(0)
    os.close(writing)
    die_with_parent()
    mount_proc()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def continue_in_thread() -> None:
    """Move the calling thread, and those it will start, into new network and mount namespaces. What it starts there
    ends with the program. Raises OSError without the privilege to do so."""
    unshare(user=False, pid=False)
    adopt_orphans()
    owner = os.pidfd_open(os.getpid())
    try:
        subprocess.Popen(
            [sys.executable, "-m", "helsewan.emulation.sandbox.guardian", str(owner)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[owner],
            start_new_session=True,
        )
    finally:
        os.close(owner)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries, which have fork handlers
        return os.fork()


def _wait_as_parent(middle: int, reading: int) -> NoReturn:
    """Forward signals to the child, whose pid and then wait status arrive on ``reading``, and end as it ended."""
    told = os.read(reading, 4096)
    if told.startswith(_ERROR):
        os.write(2, b"sandbox: cannot be created: " + told.removeprefix(_ERROR) + b"\n")
        os._exit(_REFUSED)
    pid, _, status = told.partition(b" ")
    while True:
        received = signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD})
        if received.si_signo == signal.SIGCHLD:
            if os.waitpid(middle, os.WNOHANG)[0]:
                status += os.read(reading, 4096)
                _end_as(int(status or signal.SIGKILL))
        elif pid and received.si_code != _BY_KERNEL:
            _forward(received.si_signo, int(pid))


def _forward(number: int, child: int) -> None:
    """Send a signal to the child. The kernel drops signals that the first process of a pid namespace does not handle:
    where it would have ended an ordinary process, the child is killed, and this process ends by it."""
    with suppress(ProcessLookupError):
        if number == signal.SIGWINCH or _handles(child, number):
            os.kill(child, number)
        else:
            os.kill(child, signal.SIGKILL)
            _end_as(number)


def _handles(pid: int, number: int) -> bool:
    """Whether a process catches or ignores a signal."""
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        fields = dict(line.split(":", 1) for line in status if line.startswith(("SigCgt", "SigIgn")))
        masks = int(fields["SigCgt"], 16) | int(fields["SigIgn"], 16)
        return bool(masks >> (number - 1) & 1)
    return False


def _end_as(status: int) -> NoReturn:
    """End this process with the wait status ``status``."""
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    with suppress(OSError):  # SIGKILL cannot be set
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
