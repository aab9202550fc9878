"""How long a running lab lives: until its launcher or another process ends, or its lease is not renewed.

The conditions are watched in the sandbox's first process, by descriptors (pidfd_open(2), a socket): nothing is polled,
and nothing outside has to be alive for the lab to end.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.units import UnitError, format_duration, parse_duration_us

GRACE_S = 20.0  # for the lab to end by itself once its life is over
MIN_LEASE_US = 1_000_000
LONGEST_WAIT_S = 86_400.0  # poll(2) takes at most 24 days
TAKEN = "taken"  # the launcher's last message: the network is the user's now


@dataclass(frozen=True)
class Owner:
    """A process with which a lab ends: ``pidfd`` is a descriptor of it."""

    pid: int
    pidfd: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


@dataclass(frozen=True)
class Limits:
    """The conditions under which a lab ends by itself; None: not under that one."""

    owner: Owner | None = None
    lease_us: int | None = None


def parsed_limits(with_pid: int | None, lease: str | None) -> Limits:
    """The limits that the options ``--with-pid`` and ``--lease`` ask for. Opens a pidfd. Raises InputError."""
    lease_us = None if lease is None else parse_lease_us(lease)
    return Limits(None if with_pid is None else _owner(with_pid), lease_us)


def parse_lease_us(text: str) -> int:
    """A lease, such as ``60 s``, in microseconds. Raises InputError."""
    try:
        lease_us = parse_duration_us(text)
    except UnitError as error:
        raise InputError(Problem("--lease", text, error.reason, error.hint)) from None
    if lease_us < MIN_LEASE_US:
        raise InputError(Problem("--lease", text, "is too short", f"at least {format_duration(MIN_LEASE_US)}"))
    return lease_us


def _owner(pid: int) -> Owner:
    try:
        pidfd = os.pidfd_open(pid)
    except (OSError, OverflowError) as error:
        gone = isinstance(error, ProcessLookupError)  # else a thread, or no number of a process
        reason = "has ended, or never ran" if gone else "is not the id of a process"
        raise InputError(Problem("--with-pid", pid, reason, "in a shell, $$ is its own id")) from None
    name = "?"
    with suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return Owner(pid, pidfd, name)


class Lifetime:
    """Watches a lab's limits from ``start`` on. At the end of its life it interrupts the main thread as Ctrl-C would;
    ``over`` is then the reason. ``launcher``: the connection to a launcher that waits for the lab to come up, whose end
    ends the lab; its message TAKEN hands the lab over. The lease runs from ``begin_lease`` on. Thread-safe."""

    def __init__(self, limits: Limits, launcher: socket.socket | None) -> None:
        self._limits, self._launcher = limits, launcher
        self._lease_us = limits.lease_us
        self._deadline_s: float | None = None  # CLOCK_MONOTONIC
        self._changed = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self.over = ""

    def start(self) -> None:
        """Start to watch, in a thread. Called in the main thread."""
        threading.Thread(target=self._run, name="lifetime", daemon=True).start()

    def begin_lease(self) -> None:
        """Let the lease run: the lab is up."""
        self.renew(self._lease_us)

    def renew(self, lease_us: int | None) -> None:
        """Let the lab live for another ``lease_us`` from now; None: without a lease."""
        with self._lock:
            self._lease_us = lease_us
            self._deadline_s = None if lease_us is None else time.monotonic() + lease_us / 1e6
        os.eventfd_write(self._changed, 1)

    @property
    def lease_us(self) -> int | None:
        """The present lease; None: none."""
        return self._lease_us

    def state(self) -> dict[str, Any]:
        """The limits as JSON values, of those that there are."""
        with self._lock:
            facts: dict[str, Any] = {}
            if self._limits.owner is not None:
                facts["with_process"] = {"pid": self._limits.owner.pid, "name": self._limits.owner.name}
            if self._lease_us is not None and self._deadline_s is not None:
                left_s = max(0.0, self._deadline_s - time.monotonic())
                facts["lease"] = {"seconds": self._lease_us / 1e6, "left_s": round(left_s, 1)}
            return facts

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._changed, select.POLLIN)
        if self._limits.owner is not None:
            poll.register(self._limits.owner.pidfd, select.POLLIN)
        if self._launcher is not None:
            poll.register(self._launcher, select.POLLIN)
        reason = ""
        while not reason:
            left_s = self._left_s()
            ready = {fd for fd, _ in poll.poll(None if left_s is None else min(left_s, LONGEST_WAIT_S) * 1000 + 1)}
            if self._changed in ready:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._changed)
            if self._launcher is not None and self._launcher.fileno() in ready:
                poll.unregister(self._launcher)
                reason = "" if self._handed_over() else "`helsewan up --detach` was ended before the network was up"
            if self._limits.owner is not None and self._limits.owner.pidfd in ready:
                reason = f"{self._limits.owner} ended"
            if (left_s := self._left_s()) is not None and left_s <= 0:
                reason = f"the lease of {format_duration(self._lease_us or 0)} was not renewed"
        self.over = reason
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        threading.Event().wait(GRACE_S)
        os._exit(ExitCode.VOID)  # the main thread hangs; with the sandbox's first process all others end

    def _left_s(self) -> float | None:
        with self._lock:
            return None if self._deadline_s is None else self._deadline_s - time.monotonic()

    def _handed_over(self) -> bool:
        assert self._launcher is not None
        try:
            return self._launcher.recv(64, socket.MSG_DONTWAIT).decode(errors="replace") == TAKEN
        except OSError:
            return False
