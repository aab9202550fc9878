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
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.suggestions import similar_names
from helsewan.lab.client.protocol import REPLY_LIMIT_BYTES, VERSION, Message, WireError, receive, send
from helsewan.lab.client.registry import LabRegistry, own_registry

REPLY_DEADLINE_S = 60.0
DOWN_DEADLINE_S = 60.0
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


class NetworkGone(RuntimeError):
    """The lab ended during a request."""


class NetworkRefused(RuntimeError):
    """The lab's answer is an error; ``status`` is the exit code to end with."""

    def __init__(self, why: str, status: int) -> None:
        self.status = status
        super().__init__(why)


def find(registry: LabRegistry, name: str | None) -> str:
    """The running lab of that name, or the only one where ``name`` is None. Raises InputError for none."""
    names = registry.names()
    if name is None and len(names) == 1:
        return names[0]
    if name is None and names:
        raise InputError(Problem("--name", None, f"is needed: {', '.join(names)} stand"))
    if name is None or not names:
        raise InputError(Problem("helsewan", None, "no network stands", "start one with `helsewan up`"))
    if name not in names:
        raise InputError(Problem("--name", name, f"no such network stands{similar_names(name, names)}"))
    return name


class Client:
    """One request to running lab ``name``, or to the only one."""

    def __init__(self, name: str | None) -> None:
        with own_registry() as registry:
            self.name = find(registry, name)
            try:
                self._socket = registry.connect(self.name)
            except OSError as error:
                raise NetworkGone(f"network {self.name} takes no connection: {error.strerror}") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, op: str, fds: Sequence[int] = (), **arguments: object) -> Any:
        """The lab's answer. Raises NetworkRefused for an error, NetworkGone where there is none."""
        try:
            send(self._socket, {"version": VERSION, "op": op, "arguments": arguments}, fds, REPLY_DEADLINE_S)
            reply, more = receive(self._socket, REPLY_LIMIT_BYTES, REPLY_DEADLINE_S)
        except WireError as error:
            raise NetworkGone(f"network {self.name} does not answer: {error}") from error
        for fd in more:
            os.close(fd)
        if "ok" not in reply:
            raise NetworkRefused(str(reply.get("error")), int(reply.get("status", ExitCode.VOID)))
        return reply["ok"]

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._socket.fileno()

    def finish(self, message: Message) -> Message:
        """Send ``message`` to the operation that was started, unless it has ended; returns its last message."""
        with suppress(WireError):
            send(self._socket, message, deadline_s=REPLY_DEADLINE_S)
        return self._end()

    def run(self, op: str, fds: Sequence[int], **arguments: object) -> int:
        """Start an operation with ``fds``, mostly standard input, output and error; returns its exit status at its end,
        128 + number when a signal ended it. Signals to this process are passed on to it meanwhile."""
        with _forwarding(self._socket):
            self.ask(op, fds, **arguments)
            return _exit_status(self._end())

    def run_on_terminal(self, op: str, **arguments: object) -> int:
        """The same on a new terminal, whose contents this process's terminal shows."""
        master, slave = os.openpty()
        try:
            _copy_window_size(sys.stdin.fileno(), master)
            self.ask(op, (slave, slave, slave), **arguments)
        finally:
            os.close(slave)
        before = signal.signal(signal.SIGWINCH, lambda *_: _copy_window_size(sys.stdin.fileno(), master))
        try:
            with _raw(sys.stdin.fileno()):
                _relay(sys.stdin.fileno(), sys.stdout.fileno(), master, self._socket)
            return _exit_status(self._end())
        finally:
            signal.signal(signal.SIGWINCH, before)
            os.close(master)

    def wait_until_gone(self) -> bool:
        """Whether the lab has ended, with all its processes, in time."""
        with own_registry() as registry:
            return registry.wait_until_gone(self.name, DOWN_DEADLINE_S)

    def _end(self) -> Message:
        try:
            return receive(self._socket, REPLY_LIMIT_BYTES)[0]
        except WireError:
            raise NetworkGone(f"network {self.name} ended") from None


def environment() -> Mapping[str, str]:
    """The environment a command gets: this process's, without what is not UTF-8."""
    return {key: value for key, value in os.environ.items() if _is_text(key) and _is_text(value)}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return True


@contextmanager
def _forwarding(connection: socket.socket) -> Iterator[None]:
    """Pass signals on to the command; one that stops us stops it as well."""

    def forward(number: int, _: object) -> None:
        with suppress(WireError):
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


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """The terminal in raw mode, restored at the end."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _relay(source: int, target: int, master: int, connection: socket.socket) -> None:
    """Carry keys to the command's terminal and what it shows to ours, until the command has ended and all is shown."""
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
        if error.errno != errno.EIO:  # a terminal without anybody at its other end
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
    """As shells report it: 128 + number for a command that a signal ended."""
    status = int(end["exit"])
    return 128 - status if status < 0 else status
