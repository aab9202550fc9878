"""What programs at a site see of the file system: a /run of the site's own, and no secrets of the sandbox.

A site is one computer: programs there meet in /run (sockets, locks, pid files), and those of two sites must not.
The sandbox's own /run has keys, tokens and switches' sockets, which a computer at a site has not.

The threads of a process share their root and working directory, and the kernel lets only a thread that does not do so
enter a mount namespace. One such thread starts the programs. It lasts as long as the process: a program may ask to be
ended with the thread that started it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from helsewan.emulation.sandbox import namespaces

RUN = Path("/run")
_LOCKS = RUN / "lock"  # of every Linux host: programs lock devices there

Started = TypeVar("Started")

_hidden: set[Path] = set()


def hide_from_sites(directory: Path) -> None:
    """Let programs at sites see an empty directory in place of ``directory``: those of sites where none has run yet."""
    _hidden.add(directory.resolve())


class SiteMounts:
    """The mount namespace of one site, created with its first program."""

    def __init__(self) -> None:
        self._fd: int | None = None

    def start(self, start: Callable[..., Started], *args: Any, cwd: Any = None, **params: Any) -> Started:
        """``start(*args, cwd=…, **params)``, which starts a program, within the site's mount namespace; without ``cwd``
        the program begins in this process's working directory, or in / where that is in a /run that is hidden.

        Raises what ``start`` raises, and OSError where the namespace cannot be created."""
        return _starter(os.getpid()).submit(self._start, start, args, cwd or _working_directory(), params).result()

    def close(self) -> None:
        """Close the namespace; the kernel removes it with the last program in it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _start(self, start: Callable[..., Started], args: tuple[Any, ...], cwd: Any, params: dict[str, Any]) -> Started:
        """Executed by the starting thread."""
        if self._fd is None:
            self._fd = namespaces.new_mounts(_mount_site)
        with namespaces.mounts_entered(self._fd):
            hidden = Path(cwd).is_relative_to(RUN) and not Path(cwd).is_dir()
            return start(*args, cwd="/" if hidden else cwd, **params)


def _mount_site() -> None:
    """In the new mount namespace: mount the site's /run, and nothing over each hidden directory."""
    for directory in sorted(_hidden):
        if directory.is_dir() and not directory.is_relative_to(RUN):
            namespaces.mount_empty(directory, mode=0o555)
    namespaces.mount_empty(RUN, mode=0o755)
    _LOCKS.mkdir()
    _LOCKS.chmod(0o1777)


def _working_directory() -> str:
    with suppress(OSError):  # it was removed
        return os.getcwd()
    return "/"


@cache
def _starter(pid: int) -> ThreadPoolExecutor:
    """The starting thread of the process ``pid``: a forked copy of a process has none of its threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="site-programs", initializer=namespaces.unshare_root)
