"""The history of a run: one JSON object per line, append-only."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from helsewan.common.lines import LineFile
from helsewan.common.ownership import hand_over


class History:
    """Writes events to a new file (mode 0600). Each line is written at once, so that a killed run loses at most its
    last line. A full disk never raises: it costs events, of which ``failure`` tells, and so does an event
    ``history-gap`` once there is room again. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be opened."""
        self._file = LineFile(path)
        self._lock = threading.Lock()
        hand_over(path)

    def append(self, event: str, **facts: Any) -> None:
        """Append ``event`` with its ``facts``, ``wall_ns`` (CLOCK_REALTIME) and ``monotonic_ns``.
        Facts must be JSON values; paths, enums and the like become text."""
        line = _line(event, facts)
        with self._lock:
            if self._file.lost:
                gap = {"lost": self._file.lost, "since_ns": self._file.failing_since_ns, "reason": self._file.failure}
                if self._file.append(_line("history-gap", gap)):
                    self._file.recovered()
                else:
                    return  # it has counted as another line: the event is the one that is lost
            self._file.append(line)

    @property
    def failure(self) -> str:
        """What could not be written, with the path and the reason; empty where all was."""
        return self._file.failure

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


def _line(event: str, facts: Mapping[str, Any]) -> str:
    stamp = {"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}
    return json.dumps({**stamp, "event": event, **facts}, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return getattr(value, "value", str(value))
