"""Programs on the hosts of an emulated network: commands, and Python functions."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from helsewan.testing.leaks import processes
from helsewan.testing.waiting import seconds, shown_time

if TYPE_CHECKING:
    from helsewan.emulation.nodes.nodes import NamespaceNode

Program = Sequence[str] | str | Callable[..., Any]


class Finished(NamedTuple):
    """What a command left: its exit status and its output as text."""

    status: int
    stdout: str
    stderr: str


def run_on(node: NamespaceNode, program: Program, *arguments: Any, timeout: str | float = "60 s") -> Any:
    """Run a program on ``node`` and wait for it.

    A command is a list of words, or a name with its ``arguments``; no shell reads it. It returns `Finished`, and is
    killed with its children when it takes longer than ``timeout``, which raises TimeoutError with its output so far.
    A Python function is called with the ``arguments`` in a thread whose sockets are those of the node, and returns what
    it returns or raises what it raises; one that takes too long raises TimeoutError and goes on in its thread.
    Raises OSError for a command that cannot be started."""
    if callable(program):
        return _call_on(node, program, arguments, seconds(timeout))
    return started_on(node, program, *arguments).wait(timeout)


class Running:
    """A command that runs on a node."""

    def __init__(self, node: NamespaceNode, argv: Sequence[str]) -> None:
        self.argv = list(argv)
        self._process = node.spawn(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout: str | float = "60 s") -> Finished:
        """Wait for its end. Raises TimeoutError, with its output so far, after ``timeout``; it is killed then."""
        limit_s = seconds(timeout)
        try:
            out, err = self._process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            left = self.stop(signal.SIGKILL)
            said = " ".join((left.stdout + left.stderr).split())[-300:]
            reason = f"{' '.join(self.argv)}: still running after {shown_time(limit_s)}"
            raise TimeoutError(f"{reason}: {said}" if said else reason) from None
        return Finished(int(self._process.returncode), out, err)

    def stop(self, number: int = signal.SIGTERM, grace: str | float = "2 s") -> Finished:
        """End it and its children with a signal, and with SIGKILL where that does not help; returns what it left."""
        self._signal(number)
        try:
            out, err = self._process.communicate(timeout=seconds(grace))
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            out, err = self._process.communicate()
        return Finished(int(self._process.returncode), out, err)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running:
            self.stop()


def started_on(node: NamespaceNode, program: Sequence[str] | str, *arguments: Any) -> Running:
    """Start a command on ``node`` and go on; ends with ``stop``, ``wait`` or a ``with`` block."""
    words = [program] if isinstance(program, str) else list(program)
    return Running(node, [*words, *map(str, arguments)])


def connect(node: NamespaceNode, address: object, port: int, timeout: str | float = "5 s") -> socket.socket:
    """A TCP connection from ``node`` to an address. Raises OSError where there is none in time."""
    family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
    opened = node.namespace.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(seconds(timeout))
        opened.connect((str(address), port))
    except BaseException:
        opened.close()
        raise
    return opened


def end_commands(nodes: Sequence[NamespaceNode], spared: set[int]) -> list[int]:
    """Kill the processes in the namespaces of ``nodes`` but those of ``spared``; returns their ids."""
    own = {os.fstat(node.namespace.fd).st_ino for node in nodes if node.namespace.fd >= 0}
    ended = []
    for pid in processes() - spared - {os.getpid()}:
        with suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/net").st_ino in own:
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
    return ended


def _call_on(node: NamespaceNode, function: Callable[..., Any], arguments: Sequence[Any], limit_s: float) -> Any:
    outcome: dict[str, Any] = {}

    def call() -> None:
        try:
            with node.namespace.entered():
                outcome["value"] = function(*arguments)
        except BaseException as error:
            outcome["error"] = error

    name = getattr(function, "__name__", "a function")
    thread = threading.Thread(target=call, name=f"{name} on {node.name}", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise TimeoutError(f"{name} on {node.name}: still running after {shown_time(limit_s)}")
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]
