"""Mininet's command line on a standing network: in a copy of the network's own process, so that nothing typed there
can harm it. What it does to lines it asks the network to do."""

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

from helsewan.emulation.links.links import MininetLink
from helsewan.emulation.mininet.cli import interact
from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.lab.client.protocol import WireError, receive, send
from helsewan.lab.server.control_socket import Followed, Request
from helsewan.lab.server.exec import followed

_ASKED_LIMIT_BYTES = 4096


class CliRequest(Request):
    """The command line; with ``tty`` its standard input becomes its controlling terminal."""

    env: dict[str, str]
    tty: bool = False


class Copy:
    """A forked copy of this process, with the interface of ``Popen`` as far as it is used."""

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
    net: EmulatedNet, request: CliRequest, fds: Sequence[int], light: Callable[[str, bool], None]
) -> Followed:
    """Start the command line; ``light`` is called, in a thread, to light or cut a line by name."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        os._exit(_be_the_cli(net, request, fds, theirs))
    theirs.close()
    threading.Thread(target=_do_as_asked, args=(ours, light), name="standing-cli", daemon=True).start()
    return followed(Copy(pid))


def _do_as_asked(connection: socket.socket, light: Callable[[str, bool], None]) -> None:
    with connection, suppress(WireError):
        while True:
            message, _ = receive(connection, _ASKED_LIMIT_BYTES)
            light(str(message["line"]), bool(message["up"]))
            send(connection, {"done": True})


def _be_the_cli(net: EmulatedNet, request: CliRequest, fds: Sequence[int], asking: socket.socket) -> int:
    """In the copy: run the command line on ``fds``."""
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
                link.ask = _asker(asking)
        interact(net)
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()


def _asker(asking: socket.socket) -> Callable[[str, bool], None]:
    """Asks the network to light or cut a line."""

    def ask(line: str, up: bool) -> None:
        send(asking, {"line": line, "up": up})
        receive(asking, _ASKED_LIMIT_BYTES)

    return ask
