"""Registry of running labs: a control socket and a lock for each, in a directory that only its user may enter.

A lab is running while its lock is held; the kernel releases the lock with the lab's last process. A socket whose lock
is free belongs to a lab that was killed; the next process that lists or starts labs removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helsewan.common.errors import InputError, Problem

DEFAULT_NAME = "default"
RUNTIME_DIR_VARIABLE = "HELSEWAN_RUNTIME_DIR"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_BACKLOG = 64
_LOCK_EVERY_S = 0.02
LOCK_WAIT_S = 0.2  # other processes hold a lock briefly to test whether it is free


class LabRegistry:
    """The directory of one user's running labs, created if necessary."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where other users may enter the directory."""
        self.path = path
        try:
            self._fd = _opened(path)
        except OSError as error:
            raise InputError(Problem(RUNTIME_DIR_VARIABLE, str(path), error.strerror or str(error))) from error
        status = os.fstat(self._fd)
        if os.geteuid() not in (status.st_uid, 0) or stat.S_IMODE(status.st_mode) & 0o077:
            os.close(self._fd)
            hint = "own it with mode 0700, or set another directory"
            raise InputError(Problem(RUNTIME_DIR_VARIABLE, str(path), "is accessible to other users", hint))

    @contextmanager
    def held(self, name: str) -> Iterator[socket.socket]:
        """Hold the lock of lab ``name`` within the block; yields its listening control socket. Both are removed at the
        end.

        Raises InputError for a name that is invalid or in use."""
        if not _NAME.fullmatch(name):
            raise InputError(
                Problem("--name", name, "is not a valid name", "use a to z, 0 to 9 and -, at most 32 of them")
            )
        lock = self._lock(name, LOCK_WAIT_S)
        if lock is None:
            hint = f"end it with `helsewan down --name {name}`, or take another name"
            raise InputError(Problem("--name", name, "is the name of a running network", hint))
        with os.fdopen(lock, "rb"):
            try:
                with self.listening(name, "sock", socket.SOCK_SEQPACKET) as listener:
                    yield listener
            finally:
                self._remove(name)

    def names(self) -> tuple[str, ...]:
        """The names of the running labs; removes the files of labs that were killed."""
        found = []
        for entry in sorted(os.listdir(self._fd)):
            name, _, suffix = entry.partition(".")
            if suffix == "lock" and _NAME.fullmatch(name):
                if self._is_held(name):
                    found.append(name)
                else:
                    self._remove_stale(name)
        return tuple(found)

    def connect(self, name: str) -> socket.socket:
        """A connection to lab ``name``; raises OSError where it does not accept one."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(self._short(f"{name}.sock"))
        except OSError:
            sock.close()
            raise
        return sock

    def wait_until_gone(self, name: str, deadline_s: float) -> bool:
        """Wait until lab ``name`` releases its lock; returns whether it did within ``deadline_s``."""
        until = time.monotonic() + deadline_s
        while self._is_held(name):
            if time.monotonic() > until:
                return False
            time.sleep(_LOCK_EVERY_S)
        self._remove_stale(name)
        return True

    def close(self) -> None:
        """Close the directory, and remove it if it is empty and no other process uses it."""
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.rmdir()
        os.close(self._fd)

    def write(self, name: str, suffix: str, text: str) -> Path:
        """Write a file (mode 0600) that is removed with lab ``name``, whose lock the caller holds; returns its path."""
        self._unlink(f"{name}.{suffix}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(f"{name}.{suffix}", flags, 0o600, dir_fd=self._fd), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path / f"{name}.{suffix}"

    def listening(self, name: str, suffix: str, kind: socket.SocketKind) -> socket.socket:
        """Create a listening socket of lab ``name``, whose lock the caller holds; replaces one left by a killed lab."""
        self._unlink(f"{name}.{suffix}")
        sock = socket.socket(socket.AF_UNIX, kind)
        before = os.umask(0o177)  # the socket's mode is 0600 from the start
        try:
            sock.bind(self._short(f"{name}.{suffix}"))
        finally:
            os.umask(before)
        sock.listen(_BACKLOG)
        return sock

    def _short(self, entry: str) -> str:
        """A path of an entry that fits a unix socket's address (108 bytes), however long the directory's path is."""
        return f"/proc/self/fd/{self._fd}/{entry}"

    def _lock(self, name: str, wait_s: float = 0.0) -> int | None:
        """Take the lock of ``name``; returns its descriptor, None where another process holds it for over
        ``wait_s``."""
        until = time.monotonic() + wait_s
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(f"{name}.lock", flags, 0o600, dir_fd=self._fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(f"{name}.lock", dir_fd=self._fd)):
                    return fd
            except FileNotFoundError:  # removed meanwhile by the process that held it
                pass
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(fd)
                    return None
                time.sleep(_LOCK_EVERY_S)
            os.close(fd)

    def _is_held(self, name: str) -> bool:
        """Whether a lab of that name is running; creates no lock file."""
        try:
            fd = os.open(f"{name}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _remove_stale(self, name: str) -> None:
        lock = self._lock(name)
        if lock is not None:
            self._remove(name)
            os.close(lock)

    def _remove(self, name: str) -> None:
        """Remove the files of ``name``, whose lock is held; the lock last."""
        for suffix in ("sock", "api", "token", "lock"):
            self._unlink(f"{name}.{suffix}")

    def _unlink(self, entry: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(entry, dir_fd=self._fd)


def _opened(path: Path) -> int:
    """Open the directory, created if necessary, with a shared lock so that no other process removes it while in use."""
    while True:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_SH)
        if path.exists() and os.path.samestat(os.fstat(fd), path.stat()):
            return fd
        os.close(fd)


@contextmanager
def own_registry() -> Iterator[LabRegistry]:
    """This user's registry: the directory that HELSEWAN_RUNTIME_DIR names, or /run/helsewan for root, else
    ``helsewan`` in XDG_RUNTIME_DIR, or in /tmp where there is none."""
    if named := os.environ.get(RUNTIME_DIR_VARIABLE):
        path = Path(named)
    elif os.geteuid() == 0:
        path = Path("/run/helsewan")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime, "helsewan")
    else:
        path = Path(f"/tmp/helsewan-{os.geteuid()}")
    registry = LabRegistry(path)
    try:
        yield registry
    finally:
        registry.close()
