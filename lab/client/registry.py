"""Registry of running labs: a control socket and a lock for each, in a directory that only its user may enter.

A lab runs as long as its lock is held; the kernel releases it with the lab's last process. A socket whose lock nobody
holds is left from a lab that was killed, and is removed by whoever finds it.
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
LOCK_PATIENCE_S = 0.2  # others hold a lock briefly to see whether a lab does


class LabRegistry:
    """The directory of one user's running labs."""

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
            hint = "make it yours with mode 0700, or name another"
            raise InputError(Problem(RUNTIME_DIR_VARIABLE, str(path), "is open to other users", hint))

    @contextmanager
    def held(self, name: str) -> Iterator[socket.socket]:
        """The listening control socket of lab ``name``. The name is taken until the end; then both are removed.

        Raises InputError for a name that is none or is in use."""
        if not _NAME.fullmatch(name):
            raise InputError(Problem("--name", name, "is no name", "use a to z, 0 to 9 and -, at most 32 of them"))
        lock = self._lock(name, LOCK_PATIENCE_S)
        if lock is None:
            hint = f"end it with `helsewan down --name {name}`, or take another name"
            raise InputError(Problem("--name", name, "is the name of a network that stands already", hint))
        with os.fdopen(lock, "rb"):
            try:
                with self.listening(name, "sock", socket.SOCK_SEQPACKET) as listener:
                    yield listener
            finally:
                self._remove(name)

    def names(self) -> tuple[str, ...]:
        """The names of the running labs; what is left of others is removed."""
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
        """Whether lab ``name`` released its lock in time."""
        until = time.monotonic() + deadline_s
        while self._is_held(name):
            if time.monotonic() > until:
                return False
            time.sleep(_LOCK_EVERY_S)
        self._remove_stale(name)
        return True

    def close(self) -> None:
        """Close the directory, and remove it when it is empty and nobody else uses it."""
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.rmdir()
        os.close(self._fd)

    def write(self, name: str, suffix: str, text: str) -> Path:
        """A file (mode 0600) that is removed with lab ``name``, which the caller holds."""
        self._unlink(f"{name}.{suffix}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(f"{name}.{suffix}", flags, 0o600, dir_fd=self._fd), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path / f"{name}.{suffix}"

    def listening(self, name: str, suffix: str, kind: socket.SocketKind) -> socket.socket:
        """A listening socket of lab ``name``, which the caller holds; replaces one that a killed lab left."""
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
        """A path of an entry short enough for a unix socket's address (108 bytes), however long the directory's."""
        return f"/proc/self/fd/{self._fd}/{entry}"

    def _lock(self, name: str, patience_s: float = 0.0) -> int | None:
        """The lock of ``name``, now held; None where another process holds it for longer than ``patience_s``."""
        until = time.monotonic() + patience_s
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(f"{name}.lock", flags, 0o600, dir_fd=self._fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(f"{name}.lock", dir_fd=self._fd)):
                    return fd
            except FileNotFoundError:  # whoever had it removed it in the meantime
                pass
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(fd)
                    return None
                time.sleep(_LOCK_EVERY_S)
            os.close(fd)

    def _is_held(self, name: str) -> bool:
        """Whether a lab of that name runs; leaves no lock behind."""
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
    """The directory, made where there is none, and held so that nobody removes it while we use it."""
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
