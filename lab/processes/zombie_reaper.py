"""Reaps orphaned processes, which become children of the sandbox's first process (this one)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class ZombieReaper:
    """Reaps ended processes that no part of the program waits for.

    The program waits for its own children as soon as they end, so a zombie that is still there at the next sweep is an
    orphan. Pidfds of daemons stay valid after their process was reaped."""

    def __init__(self, every: int = 20) -> None:
        """Of ``every`` calls of ``sweep``, one does the work."""
        self._every, self._calls = every, 0
        self._seen: frozenset[int] = frozenset()

    def sweep(self) -> None:
        """Reap the zombies that were there at the previous sweep already; called periodically."""
        self._calls += 1
        if self._calls % self._every:
            return
        ended = frozenset(_ended_children())
        for pid in ended & self._seen:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = ended


def _ended_children() -> list[int]:
    """Children of this process that are zombies (proc(5), stat: state and ppid)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                found.append(int(stat.parent.name))
    return found
