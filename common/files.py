"""Atomic writes of output files: a file is written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from helsewan.common.errors import InputError, Problem


def check_writable(option: str, path: Path) -> None:
    """Raises InputError naming ``option`` if no file can be written at ``path``."""
    if path.is_dir():
        raise InputError(Problem(option, str(path), "is a directory", "name a file"))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        reason = "cannot be written" if path.parent.is_dir() else "is in no existing directory"
        raise InputError(Problem(option, str(path), reason))


def write_file(option: str, path: Path, contents: bytes) -> None:
    """Atomically replace ``path`` by a file of mode 0600. Raises InputError naming ``option`` on failure."""
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(contents)
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        raise InputError(Problem(option, str(path), error.strerror or str(error))) from error


def replace_file(path: Path, contents: bytes) -> None:
    """Atomically replace the file at ``path``, also in case of a power failure. Raises OSError on failure."""
    beside = path.with_name(path.name + ".new")
    with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
