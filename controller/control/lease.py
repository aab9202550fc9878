"""Leader election among several controllers: a lease file beside the plan, which the leader renews.

The lease is free when the leader's process has ended, or has not renewed it for STALE_S. It only decides who may try
to lead: what protects against two leaders are the switches, which obey the highest generation id and reject others as
stale (OpenFlow 1.3.5, 6.3.6). All controllers of a network are processes of one machine, so generations are taken from
its monotonic clock, which never goes back; no switch outlives a boot.
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
from select import POLLIN, poll  # imported here, before eventlet removes `poll` from the module

RENEW_S = 1.0
STALE_S = 10.0  # without renewal the leader counts as hung; long enough for a busy machine
_RECORD = struct.Struct("!QQQ")  # generation, process id, time of renewal


@dataclass(frozen=True, slots=True)
class Leader:
    """The holder of the lease: process ``pid``, which renewed it at ``renewed_ns`` (CLOCK_MONOTONIC)."""

    generation: int
    pid: int
    renewed_ns: int

    def leads(self, now_ns: int) -> bool:
        """Whether the process runs and has renewed the lease in time."""
        return now_ns - self.renewed_ns < STALE_S * 1e9 and not _has_ended(self.pid)


@dataclass
class Lease:
    """This process's access to the lease file at ``path``; ``generation`` is that of its leadership, once it led."""

    path: Path
    generation: int = 0

    def take(self) -> bool:
        """Takes the lease if it is free; returns whether it did. Raises OSError where the file cannot be used."""
        with self._locked() as file:
            now_ns, leader = time.monotonic_ns(), _read(file)
            if leader is not None and leader.leads(now_ns):
                return False
            self.generation = max(now_ns, leader.generation + 1 if leader is not None else 0)
            self._write(file, now_ns)
            return True

    def renew(self, action: Callable[[], None] = lambda: None) -> bool:
        """Renews the lease; returns whether this process still holds it. If so, ``action`` is called while the file is
        locked, so that no other process takes over before it is done."""
        with self._locked() as file:
            leader = _read(file)
            if leader is None or leader.generation != self.generation:
                return False
            action()
            self._write(file, time.monotonic_ns())
            return True

    def resign(self) -> None:
        """Gives the lease up: another process may take it at once."""
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
    """The latest holder; None where the file has no record."""
    record = os.pread(file, _RECORD.size, 0)
    return Leader(*_RECORD.unpack(record)) if len(record) == _RECORD.size else None


def _has_ended(pid: int) -> bool:
    """Whether a process has ended, including one that its parent has not waited for yet."""
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
