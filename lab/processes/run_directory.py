"""The directory of a run: named by its start time, and owned by the user, also under sudo."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.emulation.sandbox import sandbox


def make_directory(parent: Path) -> Path:
    """Create a directory for one run, named by its start time; two runs in one second get different names.

    Raises InputError where it cannot be created."""
    if sandbox.hides(parent):
        raise InputError(
            Problem("--results", str(parent), f"is below {sandbox.RUN_DIR.parent}, which is not visible in a run")
        )
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        for missing in reversed([directory for directory in (parent, *parent.parents) if not directory.exists()]):
            missing.mkdir(exist_ok=True)
            hand_over(missing)
        for attempt in range(100):
            directory = parent / (stamp if attempt == 0 else f"{stamp}-{attempt}")
            with suppress(FileExistsError):
                directory.mkdir()
                (directory / "logs").mkdir()
                hand_over(directory)
                return directory.resolve()
    except OSError as error:
        raise InputError(
            Problem("--results", str(parent), error.strerror or str(error), "name another directory")
        ) from error
    raise InputError(Problem("--results", str(parent), "a hundred runs started this second"))


def conclude(directory: Path) -> None:
    """At the end of a run: give all of its files to the user, and point ``latest`` at it."""
    hand_over(*directory.rglob("*"))
    _point_latest(directory)


def _point_latest(directory: Path) -> None:
    """Point the link ``latest`` at ``directory`` atomically; prints a message where that is not possible."""
    temporary = directory.parent / f".latest-{directory.name}"
    try:
        temporary.symlink_to(directory.name)
        hand_over(temporary)
        temporary.replace(directory.parent / "latest")
    except OSError as error:  # a file system without links, or a directory of that name
        temporary.unlink(missing_ok=True)
        print(f"results: no link to the latest run: {error.strerror}", file=sys.stderr)


def hand_over(*created: Path) -> None:
    """Under sudo: make the user who called sudo the owner of the files."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        for path in created:
            owner, group = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", -1))
            os.chown(path, owner, group, follow_symlinks=False)


def shown(path: Path) -> Path:
    """The path relative to the current directory, where it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
