"""The directory of a run: made where the user wants it, named by its start, and the user's own."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.emulation.sandbox import sandbox


def make_directory(parent: Path) -> Path:
    """A new directory for one run, named by its start; two runs in one second get different names.

    Raises InputError where there can be none."""
    if sandbox.hides(parent):
        raise InputError(Problem("--results", str(parent), f"is below {sandbox.RUN_DIR.parent}, which a run hides"))
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
            Problem("--results", str(parent), error.strerror or str(error), "name another place")
        ) from error
    raise InputError(Problem("--results", str(parent), "a hundred runs began this second"))


def conclude(directory: Path) -> None:
    """Nothing more will be written: all of it belongs to the user, and ``latest`` points at it."""
    hand_over(*directory.rglob("*"))
    _point_latest(directory)


def _point_latest(directory: Path) -> None:
    """Point ``latest`` at ``directory`` in one step, so that it never is missing; say so where that is not to be."""
    temporary = directory.parent / f".latest-{directory.name}"
    try:
        temporary.symlink_to(directory.name)
        hand_over(temporary)
        temporary.replace(directory.parent / "latest")
    except OSError as error:  # a file system without links, or a directory of that name
        temporary.unlink(missing_ok=True)
        print(f"results: no link to the latest run: {error.strerror}", file=sys.stderr)


def hand_over(*made: Path) -> None:
    """Under sudo what a run made belongs to the user who asked for it."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        for path in made:
            owner, group = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", -1))
            os.chown(path, owner, group, follow_symlinks=False)


def shown(path: Path) -> Path:
    """The path as the user would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
