"""What a test session has left behind in its sandbox: processes, namespaces, mounts, interfaces."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Surroundings:
    """What exists at a moment: ids of processes in this mount namespace, network namespaces that this process holds,
    mounts, and interfaces of this network namespace."""

    processes: frozenset[int]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]

    @classmethod
    def now(cls) -> Surroundings:
        """What exists now; children that have ended are collected first."""
        with suppress(ChildProcessError):
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                os.waitpid(-1, os.WNOHANG)
        return cls(
            frozenset(_processes_here()),
            frozenset(_held("net:")),
            frozenset(line.split()[4] for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()),
            frozenset(name for _, name in socket.if_nameindex()),
        )

    def left(self, before: Surroundings) -> list[str]:
        """What exists here and did not before, in words."""
        return [
            *(f"process {pid} ({_name(pid)})" for pid in sorted(self.processes - before.processes)),
            *(f"network namespace {name}" for name in sorted(self.namespaces - before.namespaces)),
            *(f"mount {path}" for path in sorted(self.mounts - before.mounts)),
            *(f"interface {name}" for name in sorted(self.interfaces - before.interfaces)),
        ]


def processes() -> set[int]:
    """The ids of all processes that this one can see."""
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def _processes_here() -> Iterator[int]:
    """Processes of this thread's mount namespace, without this process and those above it."""
    own = os.stat("/proc/thread-self/ns/mnt").st_ino
    for pid in processes() - _above():
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if os.stat(f"/proc/{pid}/ns/mnt").st_ino == own and _state(pid) != "Z":
                yield pid


def _above() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
    return found


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _held(kind: str) -> Iterator[str]:
    """Namespaces of a kind that this process has open."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = os.readlink(entry)
            if target.startswith(kind):
                yield target


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:80]
    except OSError:
        return "ended meanwhile"
