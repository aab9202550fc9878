"""Standard output and error for programs that must go on where these cannot be written, as on a full disk."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any, TextIO

_LOST = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.ESTALE, errno.EBADF}


class TolerantFile(io.FileIO):
    """A file whose ``write`` drops what the disk does not take. A closed pipe still raises BrokenPipeError."""

    def write(self, data: Any) -> int:
        """Write what the disk takes; returns as if it were all."""
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in _LOST:
                raise
            return memoryview(data).nbytes


def tolerate_full_disk() -> None:
    """From here on, what is printed to standard output and error is dropped where it cannot be written."""
    sys.stdout, sys.stderr = _wrapped(sys.stdout, 1), _wrapped(sys.stderr, 2)


def _wrapped(stream: TextIO, fd: int) -> io.TextIOWrapper:
    """A stream of the same encoding on the same descriptor."""
    stream.flush()
    raw = io.BufferedWriter(TolerantFile(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding=stream.encoding, errors="replace", line_buffering=True)
