"""A lab in the background: its launcher waits until it is up, shows its output meanwhile, and hands it over.

Until then the lab lives no longer than its launcher: the socket between them is closed when the launcher ends, however
it ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.common.ownership import create_file
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tolerant_output import tolerate_full_disk
from helsewan.lab.processes.run_directory import shown
from helsewan.lab.processes.sandbox_process import handle_interrupts, interrupts
from helsewan.lab.server.lifetime import TAKEN

POLL_MS = 100  # how often new output is shown
MESSAGE_BYTES = 64 * 1024


def tell(launcher: socket.socket, **facts: object) -> None:
    """Tell the launcher, if it still exists: ``log`` (path of the output), ``up``, or ``failed`` with ``status``."""
    with suppress(OSError):
        launcher.send(json.dumps(facts).encode()[:MESSAGE_BYTES])


def run_detached(run: Callable[[socket.socket], int]) -> int:
    """Call ``run`` in a background process, with its connection to this one; returns once the lab is up or has failed.

    Returns the exit code. Raises KeyboardInterrupt at an interrupt before it is up, when the lab has ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    child = os.fork()
    if child == 0:
        status: int = ExitCode.VOID
        try:
            ours.close()
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            status = _background(run, theirs)
        finally:
            os._exit(status)
    theirs.close()
    try:
        with interrupts():
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return _Launcher(ours, child).follow()
    except KeyboardInterrupt:
        ours.close()
        _wait_for_end(child)
        raise


def _wait_for_end(child: int) -> None:
    """Wait for a lab whose launcher was interrupted; a second interrupt kills it."""
    with interrupts():
        try:
            os.waitpid(child, 0)
        except KeyboardInterrupt:
            handle_interrupts(signal.SIG_IGN)
            os.kill(child, signal.SIGKILL)  # and with it its sandbox
            os.waitpid(child, 0)


def _background(run: Callable[[socket.socket], int], launcher: socket.socket) -> int:
    """In the background process."""
    try:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        return run(launcher)
    except InputError as error:
        code = exit_code_of(error)
        tell(launcher, failed=str(error), status=code)
        return code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        code = exit_code_of(error)
        tell(launcher, failed=f"{type(error).__name__}: {error}", status=code)
        with suppress(OSError):  # the log's disk is full
            traceback.print_exc()
        return code
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()


def log_to(path: Path) -> None:
    """Send this process's standard output and error to the new file ``path``; what its disk does not take later is
    lost. Raises OSError."""
    output = create_file(path, os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    tolerate_full_disk()


class _Launcher:
    """The process that the user started, while the lab comes up."""

    def __init__(self, lab: socket.socket, child: int) -> None:
        self._lab, self._child = lab, child
        self._log: TextIO | None = None
        self._path: Path | None = None

    def follow(self) -> int:
        """Show the lab's output until it is up or has failed; returns the exit code."""
        poll = select.poll()
        poll.register(self._lab, select.POLLIN)
        while True:
            if not poll.poll(POLL_MS):
                text = self._read()
                if not poll.poll(0):  # else it may be the report of a failure, which belongs on standard error
                    Screen().print(text, markup=False, end="", soft_wrap=True)
                    continue
                self._unread = text
            message = self._receive()
            if "log" in message:
                self._path = Path(message["log"])
                self._log = self._path.open(encoding="utf-8", errors="replace")
            elif "up" in message:
                return self._take()
            else:
                return self._failed(message)

    _unread = ""

    def _read(self) -> str:
        text, self._unread = self._unread, ""
        return text + (self._log.read() if self._log else "")

    def _receive(self) -> dict[str, Any]:
        """The lab's next message; empty where it ended without one."""
        try:
            message: dict[str, Any] = json.loads(self._lab.recv(MESSAGE_BYTES) or b"{}")
        except (OSError, ValueError):
            return {}
        return message

    def _take(self) -> int:
        """From here on the lab is the user's."""
        handle_interrupts(signal.SIG_IGN)
        self._lab.send(TAKEN.encode())
        with suppress(OSError):
            Screen().print(self._read(), markup=False, end="", soft_wrap=True)
            if self._path is not None:
                where = f"it runs in the background and writes to {shown(self._path)}"
                Screen().print(where, markup=False, soft_wrap=True)
        return ExitCode.PASS

    def _failed(self, message: dict[str, Any]) -> int:
        status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        why = message.get("failed") or "the network ended before it was up" + (
            f": its process was killed by signal {-status}" if status < 0 else ""
        )
        rest = self._read().replace(f"{why}\n", "")
        print(rest + why, file=sys.stderr)
        return int(message.get("status", ExitCode.VOID if status < 0 else status))
