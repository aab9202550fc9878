"""Users' commands on nodes of a running lab: starts them, forwards signals, and reports their exit status.

A command uses its client's standard input, output and error, sent as descriptors, so the lab copies no data. It is
the leader of a session, and is ended when its client disconnects.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field

from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.lab.client.protocol import REQUEST_LIMIT_BYTES, ProtocolError, receive, send
from helsewan.lab.client.request import Request
from helsewan.lab.server.control_socket import Followed, OperationRefused

FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
    signal.SIGSTOP,
    signal.SIGCONT,
)
NOT_FOUND, NOT_STARTED = 127, 126  # exit codes, as shells have them
_HANG_UP_S = 2.0  # from SIGHUP to SIGKILL for a command whose client has disconnected


class ExecRequest(Request):
    """A command to run on ``node``; with ``tty`` its standard input becomes its controlling terminal."""

    node: str
    argv: Annotated[list[str], Field(min_length=1)]
    env: dict[str, str]
    cwd: str
    tty: bool = False


@dataclass(frozen=True)
class Executor:
    """Starts commands on ``nodes``."""

    nodes: Mapping[str, NamespaceNode]

    def start(self, request: ExecRequest, fds: Sequence[int]) -> Followed:
        """Start the command; its exit status is sent to the client. Raises OperationRefused where it cannot be
        started."""
        node = self.nodes[request.node]
        argv = (["setsid", "--ctty"] if request.tty else []) + request.argv
        stdin, stdout, stderr = fds
        cwd = request.cwd if os.path.isdir(request.cwd) else "/"
        try:
            process = node.spawn(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=request.env,
                start_new_session=not request.tty,
            )
        except (OSError, ValueError) as error:
            status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED
            reason = error.strerror if isinstance(error, OSError) else error
            raise OperationRefused(f"{request.argv[0]}: {reason}", status) from error
        return followed(process)


class Process(Protocol):
    """A child process with ``Popen``'s interface."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""

    def wait(self) -> int | None:
        """Its exit status, once it has ended."""


def followed(process: Process) -> Followed:
    """The reply for a started command; afterwards signals are forwarded and its exit status is reported."""
    return Followed({"pid": process.pid}, lambda connection: _follow(process, connection))


def _follow(process: Process, connection: socket.socket) -> None:
    """Forward signals to the command until it ends, and report its exit status to the client."""
    pidfd = os.pidfd_open(process.pid)
    connection.settimeout(None)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(connection, select.POLLIN)
    try:
        while process.poll() is None:
            if any(fd == connection.fileno() for fd, _ in poll.poll()):
                message, fds = receive(connection, REQUEST_LIMIT_BYTES)
                if fds or message.get("signal") not in FORWARDED:
                    raise ProtocolError("the message is no signal")
                _signal_all(process, message["signal"])
        send(connection, {"exit": process.returncode})
    except ProtocolError:
        _end(process, pidfd)
    finally:
        os.close(pidfd)


def _end(process: Process, pidfd: int) -> None:
    """Send SIGHUP to a command, and SIGKILL if it does not end within _HANG_UP_S."""
    for number in (signal.SIGCONT, signal.SIGHUP):
        _signal_all(process, number)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(_HANG_UP_S * 1000):
        _signal_all(process, signal.SIGKILL)
    process.wait()


def _signal_all(process: Process, number: int) -> None:
    """Signal the command's process group, or the command alone if it has not created its group yet."""
    if process.poll() is not None:
        return
    with suppress(ProcessLookupError):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            os.kill(process.pid, number)
