"""Reaps orphaned processes, which the kernel makes children of the sandbox's first process (this one)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class ZombieReaper:
    """Reaps ended processes that no part of the program waits for. Whoever started a process waits for it at once when
    it ends;
    one that is still there a sweep later has nobody. Daemons keep their own descriptors (pidfd), which stay good."""

    def __init__(self, every: int = 20) -> None:
        """``every`` how many calls there is a sweep."""
        self._every, self._calls = every, 0
        self._seen: frozenset[int] = frozenset()

    def sweep(self) -> None:
        """Called now and then."""
        self._calls += 1
        if self._calls % self._every:
            return
        ended = frozenset(_ended_children())
        for pid in ended & self._seen:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = ended


def _ended_children() -> list[int]:
    """Children of this process that have ended and wait to be waited for (proc(5), stat: state and ppid)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                found.append(int(stat.parent.name))
    return found
