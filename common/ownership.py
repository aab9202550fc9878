"""Ownership of files that a program under sudo creates: they belong to the user who called sudo."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def hand_over(*created: Path) -> None:
    """Under sudo: make the user who called sudo the owner of the files, which this program has created."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        for path in created:
            owner, group = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", -1))
            os.chown(path, owner, group, follow_symlinks=False)


def create_log(path: Path) -> None:
    """Create the log of a program that appends to it, so that it is the user's from the start. What is there already
    stays; a directory that takes no files is the program's to tell."""
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
        hand_over(path)
