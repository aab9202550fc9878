"""The directory of a run: named by its start time, and owned by the user, also under sudo."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.ownership import create_file, hand_over, hand_over_tree
from helsewan.emulation.sandbox import sandbox

PROBE_BYTES = 256 * 1024  # room that a run takes at least
_IGNORE = "# made by helsewan: results are no source text\n*\n"


def make_directory(parent: Path, created: list[Path] | None = None) -> Path:
    """Create a directory for one run, named by its start time; two runs in one second get different names. Everything
    that was created, also parents, is appended to ``created``. A results folder that did not exist gets a .gitignore,
    so that results do not end up in a user's repository unasked.

    Raises InputError where it cannot be created or has no room; nothing is left then."""
    if sandbox.hides(parent):
        raise InputError(
            Problem("--results", str(parent), f"is below {sandbox.RUN_DIR.parent}, which is not visible in a run")
        )
    made: list[Path] = []
    try:
        directory = _made(parent, made)
        _require_room(directory)
    except OSError as error:
        discard(made)
        raise InputError(
            Problem("--results", str(parent), error.strerror or str(error), "name another directory")
        ) from error
    if created is not None:
        created += made
    return directory.resolve()


def _made(parent: Path, made: list[Path]) -> Path:
    missing = [directory for directory in (parent, *parent.parents) if not directory.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        made.append(folder)
        hand_over(folder)
        if folder is missing[-1]:
            made.append(folder / ".gitignore")
            with open(create_file(made[-1], mode=0o644), "w", encoding="utf-8") as file:
                file.write(_IGNORE)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for attempt in range(100):
        directory = parent / (stamp if attempt == 0 else f"{stamp}-{attempt}")
        with suppress(FileExistsError):
            directory.mkdir()
            made.append(directory)
            (directory / "logs").mkdir()
            hand_over(directory, directory / "logs")
            return directory
    raise InputError(Problem("--results", str(parent), "a hundred runs started this second"))


def _require_room(directory: Path) -> None:
    """Raise OSError where the file system of ``directory`` is full, or the user's quota on it."""
    probe = directory / ".room"
    try:
        with probe.open("wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


def discard(created: list[Path]) -> None:
    """Remove what `make_directory` created for a run that was refused, except what others use by now."""
    for path in reversed(created):
        with suppress(OSError):
            if path is created[-1] and path.is_dir():
                shutil.rmtree(path)
            elif path.is_dir():
                path.rmdir()  # fails where another run has a directory
            elif list(path.parent.iterdir()) == [path]:
                path.unlink()


def conclude(directory: Path) -> None:
    """At the end of a run: give all of its files to the user, and point ``latest`` at it."""
    hand_over_tree(directory)
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


def shown(path: Path) -> Path:
    """The path relative to the current directory, where it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
