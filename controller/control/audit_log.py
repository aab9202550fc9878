"""The audit log of changes: who changed what, from what to what, and with what outcome. One JSON object a line.

Every change of the network, through whichever interface, is an event of the controller; the log is derived from the
events. A separate thread writes it, so that a slow disk does not delay a repair.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helsewan.common.lines import LineFile

RETRY_S = 1.0
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
    """Appends to the file at ``path`` (mode 0600); each record is synced to disk before the next is written. A record
    that cannot be written, as on a full disk, waits for room and keeps the others waiting: none is lost while the
    controller runs. ``queue`` is a queue of the framework, ``sleep`` its way to wait."""

    def __init__(self, path: Path, queue: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        """Raises OSError where the file cannot be opened."""
        self._file = LineFile(path)
        self._queue, self._sleep = queue, sleep

    def note(self, event: str, details: Mapping[str, Any], at_ns: int) -> None:
        """Queues the record of an event, if it is a change; does not wait for the disk."""
        entry = record(event, details, at_ns)
        if entry is not None:
            self._queue.put(entry)

    def write(self, on_failure: Callable[[str], None] = lambda reason: None) -> None:
        """Writes queued records; does not return. ``on_failure`` is called with path and reason when a record cannot be
        written, once until it could be."""
        while True:
            line = json.dumps(self._queue.get(), ensure_ascii=False)
            while not self._file.append(line, sync=True):
                if self._file.lost == 1:
                    on_failure(self._file.failure)
                self._sleep(RETRY_S)
            self._file.recovered()
