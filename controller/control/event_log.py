"""The controller's event log: one JSON line an event. Imports nothing that starts threads."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, TextIO


class EventLog:
    """JSON lines, whole ones only, from any thread."""

    def __init__(self, target: str) -> None:
        self._stream: TextIO = os.fdopen(int(target), "w") if target.isdigit() else Path(target).open("a")  # noqa: SIM115
        self._lock = threading.Lock()

    def emit(self, event: str, details: dict[str, Any]) -> None:
        """Writes one event, stamped with the time."""
        line = json.dumps({"t": time.time_ns(), "event": event, **details}, ensure_ascii=False)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def begin_anew(self) -> NoReturn:
        """This process as it was started, in place of what it has become; no line is cut short."""
        with self._lock:
            os.execv(sys.executable, sys.orig_argv)
