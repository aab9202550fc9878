"""Mininet's command line on a running lab.

It runs in a forked copy of the lab's process, so that no command can change the lab's state. Changes to links are
requested from the lab's process.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import termios
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from helsewan.emulation.links.mininet_links import MininetLink
from helsewan.emulation.mininet.cli import interact
from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.lab.client.protocol import ProtocolError, receive, send
from helsewan.lab.client.request import Request
from helsewan.lab.server.control_socket import Followed
from helsewan.lab.server.exec import followed

_REQUEST_LIMIT_BYTES = 4096


class CliRequest(Request):
    """The command line; with ``tty`` its standard input becomes its controlling terminal."""

    env: dict[str, str]
    tty: bool = False


class ForkedProcess:
    """A forked copy of this process, with the part of ``Popen``'s interface that is used."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._wait(0)

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def start_cli(
    net: EmulatedNet, request: CliRequest, fds: Sequence[int], set_carrier: Callable[[str, bool], None]
) -> Followed:
    """Start the command line; ``set_carrier`` is called, in a thread, to take a link down or up by name."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        os._exit(_run_cli(net, request, fds, theirs))
    theirs.close()
    threading.Thread(target=_serve_copy, args=(ours, set_carrier), name="lab-cli", daemon=True).start()
    return followed(ForkedProcess(pid))


def _serve_copy(connection: socket.socket, set_carrier: Callable[[str, bool], None]) -> None:
    with connection, suppress(ProtocolError):
        while True:
            message, _ = receive(connection, _REQUEST_LIMIT_BYTES)
            set_carrier(str(message["link"]), bool(message["up"]))
            send(connection, {"done": True})


def _run_cli(net: EmulatedNet, request: CliRequest, fds: Sequence[int], connection: socket.socket) -> int:
    """In the forked copy: run the command line on ``fds``; returns the exit status."""
    try:
        os.setsid()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        if request.tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(request.env)
        sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
        for link in net.links:
            if isinstance(link, MininetLink):
                link.on_set_up = _requester(connection)
        interact(net)
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()


def _requester(connection: socket.socket) -> Callable[[str, bool], None]:
    """A function that requests the lab's process to take a link up or down."""

    def request(link: str, up: bool) -> None:
        send(connection, {"link": link, "up": up})
        receive(connection, _REQUEST_LIMIT_BYTES)

    return request
