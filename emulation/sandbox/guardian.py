"""Ends what is left of a sandbox without a pid namespace: ``python -m helsewan.emulation.sandbox.guardian PIDFD``.

Started by `continuation` in the sandbox's mount namespace. Waits until the program that the sandbox belongs to has
ended, however it ended, and then kills all other processes in this mount namespace.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROUNDS = 100  # processes may start others while they are being killed


def members(kind: str, namespaces: frozenset[str]) -> Iterator[int]:
    """Processes, other than this one, whose namespace of ``kind`` (``mnt``, ``net``) is one of ``namespaces``."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if int(process.name) != os.getpid() and os.readlink(process / "ns" / kind) in namespaces:
                yield int(process.name)


def kill_members(kind: str, namespaces: frozenset[str]) -> None:
    """Kill all `members`, and those that they start meanwhile."""
    for _ in range(_ROUNDS):
        pids = list(members(kind, namespaces))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            return


def main(arguments: list[str]) -> None:
    """Wait for the end of the owner, by its pidfd, and end the rest."""
    poll = select.poll()
    poll.register(int(arguments[0]), select.POLLIN)
    poll.poll()
    kill_members("mnt", frozenset({os.readlink("/proc/self/ns/mnt")}))


if __name__ == "__main__":
    main(sys.argv[1:])
