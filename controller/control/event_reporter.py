"""Distributes the controller's events: to its log, to the control API (for the request that awaits its outcome), and
changes to the audit log."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

from helsewan.controller.control.audit_log import AuditLog
from helsewan.controller.control.control_api import ControlApi

Emit = Callable[[str, dict[str, Any]], None]


class EventReporter:
    """Passes every event to ``log``, ``control_api`` and the audit log ``changes``; from any thread."""

    def __init__(self, log: Emit, control_api: ControlApi, changes: AuditLog | None) -> None:
        self._log, self._control_api, self._changes = log, control_api, changes

    def emit(self, event: str, details: dict[str, Any]) -> None:
        """Reports one event."""
        self._log(event, details)
        self._control_api.on_event(event, details)
        if self._changes is not None:
            self._changes.note(event, details, time.time_ns())

    def error(self, error: BaseException) -> None:
        """Reports an exception with its traceback."""
        self.emit("error", {"message": "".join(traceback.format_exception(error))})

    def rejected(self, address: str, reason: str) -> None:
        """Reports that the connection of a switch at ``address`` was rejected."""
        self.emit("switch-turned-away", {"address": address, "reason": reason})
