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
    """Writes events to ``target``, a file descriptor's number or a path; from any thread, one whole line at a time."""

    def __init__(self, target: str) -> None:
        self._stream: TextIO = os.fdopen(int(target), "w") if target.isdigit() else Path(target).open("a")  # noqa: SIM115
        self._lock = threading.Lock()

    def emit(self, event: str, details: dict[str, Any]) -> None:
        """Writes one event with the time (``t``, ns since the epoch)."""
        line = json.dumps({"t": time.time_ns(), "event": event, **details}, ensure_ascii=False)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def restart_process(self) -> NoReturn:
        """Executes this process's command line anew, in the same process; no line of the log is cut short."""
        with self._lock:
            os.execv(sys.executable, sys.orig_argv)
