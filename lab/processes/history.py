"""The history of a run: one JSON object per line, append-only."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any


class History:
    """Writes events to a new file (mode 0600). Each line is flushed at once, so that a killed run loses at most its
    last line. Thread-safe."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self._lock = threading.Lock()

    def append(self, event: str, **facts: Any) -> None:
        """Append ``event`` with its ``facts``, ``wall_ns`` (CLOCK_REALTIME) and ``monotonic_ns``.
        Facts must be JSON values; paths, enums and the like become text."""
        stamp = {"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}
        line = json.dumps({**stamp, "event": event, **facts}, ensure_ascii=False, default=_plain)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a history file, in order. An incomplete last line is left out; any other invalid line raises
    ValueError with its number."""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError("is no JSON object")
        except ValueError as error:  # also UnicodeDecodeError
            if number == len(lines):  # the newline after it was never written
                return
            raise ValueError(f"{path}:{number}: {error}") from None
        yield event


def _plain(value: object) -> object:
    return getattr(value, "value", str(value))
