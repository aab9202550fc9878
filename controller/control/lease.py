"""Which of several controllers leads: a file beside the plan that names the leader, and that it renews.

Who ended leads no more, and the others know at once; who stands still for too long does not either. That only says
who may try: what keeps two leaders apart are the switches, which obey the highest generation and call others stale
(OpenFlow 1.3.5, 6.3.6). All controllers of a world are processes of one machine, so its clock since boot makes the
generations: it never goes back, and no switch outlives it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import POLLIN, poll  # as they are before eventlet takes them away

RENEW_S = 1.0
STALE_S = 10.0  # without being renewed: the leader hangs; long, for a busy machine is no reason
_RECORD = struct.Struct("!QQQ")  # generation, process, when it was renewed


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads: process ``pid``, which was there at ``renewed_ns`` (CLOCK_MONOTONIC)."""

    generation: int
    pid: int
    renewed_ns: int

    def leads(self, now_ns: int) -> bool:
        """Whether it is still there, and not hanging."""
        return now_ns - self.renewed_ns < STALE_S * 1e9 and not _has_ended(self.pid)


@dataclass
class Lease:
    """This process's share in the lease on ``path``; ``generation`` is its own, once it has led."""

    path: Path
    generation: int = 0

    def take(self) -> bool:
        """Lead, if nobody does. Raises OSError where the file cannot be used."""
        with self._locked() as file:
            now_ns, leader = time.monotonic_ns(), _read(file)
            if leader is not None and leader.leads(now_ns):
                return False
            self.generation = max(now_ns, leader.generation + 1 if leader is not None else 0)
            self._write(file, now_ns)
            return True

    def renew(self, action: Callable[[], None] = lambda: None) -> bool:
        """Whether this process still leads; if so ``action`` is done, and nobody else takes over before it is."""
        with self._locked() as file:
            leader = _read(file)
            if leader is None or leader.generation != self.generation:
                return False
            action()
            self._write(file, time.monotonic_ns())
            return True

    def resign(self) -> None:
        """Lead no more: another may at once."""
        with self._locked() as file:
            leader = _read(file)
            if leader is not None and leader.generation == self.generation:
                self._write(file, 0)

    def _write(self, file: int, renewed_ns: int) -> None:
        os.pwrite(file, _RECORD.pack(self.generation, os.getpid(), renewed_ns), 0)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _read(file: int) -> Leader | None:
    """Who wrote last, if anybody did."""
    record = os.pread(file, _RECORD.size, 0)
    return Leader(*_RECORD.unpack(record)) if len(record) == _RECORD.size else None


def _has_ended(pid: int) -> bool:
    """Whether a process is over, be it that nobody has waited for it yet."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended = poll()
        ended.register(pidfd, POLLIN)
        return bool(ended.poll(0))
    finally:
        os.close(pidfd)
