"""Files for users, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from topology.errors import InputError, Problem


def write_file(option: str, path: Path, contents: bytes) -> None:
    """Put a file of mode 0600 in the place of what is at ``path``. Raises InputError, which names ``option``."""
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
