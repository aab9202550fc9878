"""Ownership of files that a program under sudo creates: they belong to the user who called sudo.

Only what this program has created changes hands, and only by descriptor: in a directory of that user, a path can be
made to name another file between two system calls."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def invoker() -> tuple[int, int] | None:
    """The user and group who called sudo; None where this program does not run as root under sudo."""
    if os.geteuid() != 0:
        return None
    try:
        return int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1"))
    except (KeyError, ValueError):
        return None


def give(descriptor: int) -> None:
    """Under sudo: make the user who called sudo the owner of a file or directory that this program has just created.
    Where a file system or a user namespace does not know that user, it stays as it is."""
    if (owner := invoker()) is not None:
        with suppress(OSError):
            os.fchown(descriptor, *owner)


def create_file(path: Path, flags: int = 0, mode: int = 0o600) -> int:
    """Create a file, for writing and for the user who called sudo; returns its descriptor. ``flags`` are further ones
    of open(2). Raises FileExistsError where anything, also a symbolic link, has its name, and other OSErrors."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | flags, mode)
    give(descriptor)
    return descriptor


def create_directories(path: Path) -> None:
    """Create a directory and its missing parents, for the user who called sudo. Raises OSError; FileExistsError where
    something else has the name."""
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(exist_ok=True)  # another process may be as fast
        hand_over(missing)
    if not path.is_dir():
        raise FileExistsError(path)


def hand_over(*created: Path) -> None:
    """Under sudo: make the user who called sudo the owner of files, directories and links that this program has
    created. What belongs to somebody else, or has several names, is none of these and stays as it is."""
    for path in created:
        _hand_over(path, None)


def hand_over_tree(directory: Path) -> None:
    """`hand_over` of all that is in a directory; symbolic links are not followed."""
    if invoker() is None:
        return
    for _, directories, files, descriptor in os.fwalk(directory):
        for name in (*directories, *files):
            _hand_over(name, descriptor)


def _hand_over(path: str | Path, directory: int | None) -> None:
    if (owner := invoker()) is None:
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if _is_ours(os.fstat(descriptor)):
                os.chown(f"/proc/self/fd/{descriptor}", *owner)  # fchown(2) takes no O_PATH descriptor
        finally:
            os.close(descriptor)


def _is_ours(status: os.stat_result) -> bool:
    """Whether this program can have created the file: it is root's, and has no second name."""
    return status.st_uid == os.geteuid() and (status.st_nlink == 1 or stat.S_ISDIR(status.st_mode))


def create_log(path: Path) -> None:
    """Create the log of a program that appends to it, so that it is the user's from the start. What is there already
    stays; a directory that takes no files is the program's to tell."""
    with suppress(OSError):
        os.close(create_file(path, mode=0o640))
