"""Atomic writes of output files: a file is written completely or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.ownership import create_file, give, invoker


def check_writable(option: str, path: Path) -> None:
    """Raises InputError naming ``option`` if no file can be written at ``path``."""
    if path.is_dir():
        raise InputError(Problem(option, str(path), "is a directory", "name a file"))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        reason = "cannot be written" if path.parent.is_dir() else "is in no existing directory"
        raise InputError(Problem(option, str(path), reason))


def write_file(option: str, path: Path, contents: bytes) -> None:
    """Atomically replace ``path`` by a file of mode 0600; a device or a pipe is written to as it is. A symbolic link is
    followed, but see `open_output`. Under sudo a new file is the invoking user's; one that is replaced keeps its owner.
    Raises InputError naming ``option`` on failure."""
    try:
        if path.exists() and (not path.is_file() or path.is_relative_to("/dev") or path.is_relative_to("/proc")):
            with open(open_output(path), "wb") as file:
                file.write(contents)
        else:
            _replace(path if _is_shared(path.parent) else path.resolve(), contents)
    except OSError as error:
        raise InputError(Problem(option, str(path), error.strerror or str(error))) from error


def open_output(path: Path) -> int:
    """Open a file for writing; created with mode 0600, and under sudo for the invoking user, or else as it is, not
    truncated.

    In a directory where everybody may create files (/tmp) neither a symbolic link is followed nor another user's file
    opened: they could direct what root writes. Raises OSError."""
    with suppress(FileExistsError):
        return create_file(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_NOFOLLOW if _is_shared(path.parent) else 0)
    try:
        opened = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            reason = "is a symbolic link in a directory that everybody may write to"
            raise OSError(error.errno, reason, str(path)) from error
        raise
    if _is_shared(path.parent) and os.fstat(opened).st_uid != os.geteuid():
        os.close(opened)
        raise OSError(errno.EACCES, "is another user's file in a directory that everybody may write to", str(path))
    return opened


def _is_shared(directory: Path) -> bool:
    """Whether users may create files beside each other's, as in /tmp: writable by all, and sticky."""
    mode = directory.stat().st_mode
    return bool(mode & stat.S_IWOTH and mode & stat.S_ISVTX)


def _replace(path: Path, contents: bytes) -> None:
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    _give_to_owner(handle, path)
    try:
        with open(handle, "wb") as file:
            file.write(contents)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _give_to_owner(handle: int, path: Path) -> None:
    """Make a new file, which will replace the one at ``path``, that one's owner's, or if there is none the invoking
    user's. In a directory where everybody may create files a stranger's file or a link has no owner that counts."""
    if os.geteuid() != 0:
        return
    try:
        old = path.lstat()
    except OSError:
        return give(handle)
    trusted = {0, (invoker() or (0, 0))[0]} if _is_shared(path.parent) else {old.st_uid}
    if stat.S_ISREG(old.st_mode) and old.st_uid in trusted:
        with suppress(OSError):  # a file system without owners
            os.fchown(handle, old.st_uid, old.st_gid)
    else:
        give(handle)


def replace_file(path: Path, contents: bytes) -> None:
    """Atomically replace the file at ``path``, also in case of a power failure. Raises OSError on failure."""
    beside = path.with_name(path.name + ".new")
    with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
