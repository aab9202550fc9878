"""Client of a running lab: requests, commands at its nodes with this process's standard streams, terminals."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.suggestions import similar_names
from helsewan.lab.client.protocol import REPLY_LIMIT_BYTES, VERSION, Message, ProtocolError, receive, send
from helsewan.lab.client.raw_terminal import raw
from helsewan.lab.client.registry import LabRegistry, own_registry

REPLY_DEADLINE_S = 60.0
DOWN_DEADLINE_S = 60.0
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


class NetworkGone(RuntimeError):
    """The lab ended during a request."""


class NetworkRefused(RuntimeError):
    """The lab replied with an error; ``status`` is the exit code for it."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


def find(registry: LabRegistry, name: str | None) -> str:
    """The name of the running lab ``name``, or of the only one if ``name`` is None. Raises InputError where there is
    none, or where ``name`` is None and several run."""
    names = registry.names()
    if name is None and len(names) == 1:
        return names[0]
    if name is None and names:
        raise InputError(Problem("--name", None, f"is needed: {', '.join(names)} are running"))
    if name is None or not names:
        raise InputError(Problem("helsewan", None, "no network is running", "start one with `helsewan up`"))
    if name not in names:
        raise InputError(Problem("--name", name, f"is no running network{similar_names(name, names)}"))
    return name


class Client:
    """A connection for one request to the running lab ``name``, or to the only one."""

    def __init__(self, name: str | None) -> None:
        with own_registry() as registry:
            self.name = find(registry, name)
            try:
                self._socket = registry.connect(self.name)
            except OSError as error:
                raise NetworkGone(f"network {self.name} accepts no connection: {error.strerror}") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, op: str, fds: Sequence[int] = (), **arguments: object) -> Any:
        """Send request ``op``; returns the lab's reply. Raises NetworkRefused for an error, NetworkGone for no
        reply."""
        try:
            send(self._socket, {"version": VERSION, "op": op, "arguments": arguments}, fds, REPLY_DEADLINE_S)
            reply, more = receive(self._socket, REPLY_LIMIT_BYTES, REPLY_DEADLINE_S)
        except ProtocolError as error:
            hint = "its process has ended, or is stopped: `helsewan status --last` shows its logs"
            raise NetworkGone(f"network {self.name} does not answer: {error} (hint: {hint})") from error
        for fd in more:
            os.close(fd)
        if "ok" not in reply:
            raise NetworkRefused(str(reply.get("error")), int(reply.get("status", ExitCode.VOID)))
        return reply["ok"]

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._socket.fileno()

    def finish(self, message: Message) -> Message:
        """Send ``message`` to the operation that was started, unless it has ended; returns the lab's last message."""
        with suppress(ProtocolError):
            send(self._socket, message, deadline_s=REPLY_DEADLINE_S)
        return self._end()

    def run(self, op: str, fds: Sequence[int], **arguments: object) -> int:
        """Run an operation with ``fds``, mostly standard input, output and error; returns its exit status, 128 + number
        when a signal ended it. Signals to this process are forwarded to it."""
        with _forwarding(self._socket):
            self.ask(op, fds, **arguments)
            return _exit_status(self._end())

    def run_on_terminal(self, op: str, **arguments: object) -> int:
        """Run an operation on a new pseudoterminal, connected to this process's terminal; returns its exit status.
        Standard input must be a terminal."""
        master, slave = os.openpty()
        try:
            _copy_window_size(sys.stdin.fileno(), master)
            self.ask(op, (slave, slave, slave), **arguments)
        finally:
            os.close(slave)
        before = signal.signal(signal.SIGWINCH, lambda *_: _copy_window_size(sys.stdin.fileno(), master))
        try:
            with raw(sys.stdin.fileno()):
                _relay(sys.stdin.fileno(), sys.stdout.fileno(), master, self._socket)
            return _exit_status(self._end())
        finally:
            signal.signal(signal.SIGWINCH, before)
            os.close(master)

    def wait_until_gone(self) -> bool:
        """Wait for the lab and all its processes to end; returns whether they ended in time."""
        with own_registry() as registry:
            return registry.wait_until_gone(self.name, DOWN_DEADLINE_S)

    def _end(self) -> Message:
        try:
            return receive(self._socket, REPLY_LIMIT_BYTES)[0]
        except ProtocolError:
            raise NetworkGone(f"network {self.name} ended (hint: `helsewan status --last` shows why)") from None


def environment() -> Mapping[str, str]:
    """The environment for a command: this process's, without variables that are not UTF-8."""
    return {key: value for key, value in os.environ.items() if _is_text(key) and _is_text(value)}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # surrogates: bytes that are not UTF-8
        return False
    return True


@contextmanager
def _forwarding(connection: socket.socket) -> Iterator[None]:
    """Forward signals to the command within the block; SIGTSTP stops both the command and this process."""

    def forward(number: int, _: object) -> None:
        with suppress(ProtocolError):
            send(connection, {"signal": number})

    def suspend(*_: object) -> None:
        forward(signal.SIGSTOP, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        forward(signal.SIGCONT, None)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _relay(source: int, target: int, master: int, connection: socket.socket) -> None:
    """Copy input to the command's terminal and its output to ours, until it has ended and all output was copied."""
    poll = select.poll()
    for fd in (source, master, connection.fileno()):
        poll.register(fd, select.POLLIN)
    ended = False
    while True:
        ready = dict(poll.poll(0 if ended else None))
        if master in ready:
            shown = _read(master)
            if not shown:
                return
            _write(target, shown)
        elif ended:
            return
        if source in ready:
            keys = _read(source)
            if keys:
                _write(master, keys)
            else:
                poll.unregister(source)
        if connection.fileno() in ready:
            poll.unregister(connection.fileno())
            ended = True


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError as error:
        if error.errno != errno.EIO:  # EIO: the other end of the terminal is closed
            raise
        return b""


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _copy_window_size(source: int, target: int) -> None:
    with suppress(OSError):
        fcntl.ioctl(target, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8)))


def _exit_status(end: Message) -> int:
    """The exit status as in shells: 128 + number for a command that a signal ended."""
    status = int(end["exit"])
    return 128 - status if status < 0 else status
