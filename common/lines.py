"""An append-only file of lines whose writer never fails: a full disk costs lines, and is told."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class LineFile:
    """Appends whole lines to the file at ``path``, created with mode 0600 if necessary. Only one process may write to
    it; not thread-safe. ``failure`` says what could not be written, as long as the last line could not."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be opened, also where it is a symbolic link."""
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o600)
        self.lost = 0  # lines, since ``failing_since_ns``
        self.failing_since_ns = 0  # CLOCK_REALTIME
        self._reason = ""

    def append(self, line: str, sync: bool = False) -> bool:
        """Append ``line``, which has no newline; with ``sync`` wait until it is on the disk. Returns whether it was
        written; if not, nothing of it was."""
        data = (line + "\n").encode()
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, data)
            while written < len(data):  # a disk that is nearly full takes a part
                written += os.write(self._fd, data[written:])
            if sync:
                os.fsync(self._fd)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, before)
            self._reason = error.strerror or str(error)
            self.failing_since_ns = self.failing_since_ns or time.time_ns()
            self.lost += 1
            return False
        return True

    @property
    def failure(self) -> str:
        """Path, reason and number of lines of the present failure; empty where there is none."""
        return f"{self.path}: {self._reason}: {self.lost} lines not written" if self.lost else ""

    def recovered(self) -> None:
        """Forget the failure: lines are written again."""
        self.lost = self.failing_since_ns = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
