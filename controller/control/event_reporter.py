"""Where the controller's events go: its own log, whoever waits at the desk for what becomes of a request, and, where
they tell of a change, the audit log."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

from helsewan.controller.control.audit_log import AuditLog
from helsewan.controller.control.control_api import ControlApi

Emit = Callable[[str, dict[str, Any]], None]


class EventReporter:
    """Hands every event on to ``log``, ``desk`` and ``changes``; from any thread."""

    def __init__(self, log: Emit, desk: ControlApi, changes: AuditLog | None) -> None:
        self._log, self._control_api, self._changes = log, desk, changes

    def emit(self, event: str, details: dict[str, Any]) -> None:
        """One event."""
        self._log(event, details)
        self._control_api.heard(event, details)
        if self._changes is not None:
            self._changes.note(event, details, time.time_ns())

    def error(self, error: BaseException) -> None:
        """A fault, with where it came up."""
        self.emit("error", {"message": "".join(traceback.format_exception(error))})

    def turned_away(self, address: str, reason: str) -> None:
        """A switch that was not let in."""
        self.emit("switch-turned-away", {"address": address, "reason": reason})
