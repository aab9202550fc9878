"""The audit log of changes: who changed what, from what to what, and with what outcome. One JSON object a line.

Every change of the network, through whichever interface, is an event of the controller; the log is derived from the
events. A separate thread writes it, so that a slow disk does not delay a repair.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_WHAT = {  # event -> (what was changed, outcome)
    "policy-switched": ("policy", "done"),
    "policy-refused": ("policy", "refused"),
    "paths-switched": ("paths", "done"),
    "paths-refused": ("paths", "refused"),
    "withdrawn": ("links and PoPs out of service", "asked"),
    "adopted": ("start with the rules that switches hold", "done"),
    "drift": ("rules of a switch", "found altered"),
    "drift-repaired": ("rules of a switch", "put right"),
}
_DETAILS = ("reason", "router", "rule", "rules", "entries", "policy", "request")
_OURSELVES = {"door": "controller"}


def record(event: str, details: Mapping[str, Any], at_ns: int) -> dict[str, Any] | None:
    """The log record of an event at ``at_ns`` (ns since the epoch); None where the event is no change."""
    if event not in _WHAT:
        return None
    what, outcome = _WHAT[event]
    return {
        "time": datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "who": details.get("by") or _OURSELVES,
        "what": what,
        "outcome": outcome,
        "before": details.get("before"),
        "after": details.get("after"),
        "changes": details.get("changes") or [],
        **{name: details[name] for name in _DETAILS if details.get(name)},
    }


class AuditLog:
    """Appends to the file at ``path`` (mode 0600); each record is synced to disk before the next is written.
    ``queue`` is a queue of the framework."""

    def __init__(self, path: Path, queue: Any) -> None:
        """Raises OSError where the file cannot be opened."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        self._queue = queue

    def note(self, event: str, details: Mapping[str, Any], at_ns: int) -> None:
        """Queues the record of an event, if it is a change; does not wait for the disk."""
        entry = record(event, details, at_ns)
        if entry is not None:
            self._queue.put(entry)

    def write(self) -> None:
        """Writes queued records. Does not return; raises OSError when a record cannot be written, since a network whose
        changes are not recorded must not go on."""
        while True:
            line = json.dumps(self._queue.get(), ensure_ascii=False) + "\n"
            os.write(self._file, line.encode())
            os.fsync(self._file)
