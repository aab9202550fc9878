"""The audit log of changes: who changed what, from what to what, and with what outcome. One JSON object a line.

Whatever changes the network, through whichever door, is an event of the controller: the log is what the events say.
It is written by a thread of its own, for a disk may take its time and a repair must not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_WHAT = {
    "policy-switched": ("policy", "done"),
    "policy-refused": ("policy", "refused"),
    "paths-switched": ("paths", "done"),
    "paths-refused": ("paths", "refused"),
    "withdrawn": ("lines and PoPs out of service", "asked"),
    "adopted": ("start from what switches hold", "done"),
    "drift": ("rules of a switch", "found altered"),
    "drift-repaired": ("rules of a switch", "put right"),
}
_DETAILS = ("reason", "router", "rule", "rules", "entries", "policy", "request")
_OURSELVES = {"door": "controller"}


def record(event: str, details: Mapping[str, Any], at_ns: int) -> dict[str, Any] | None:
    """What the log says of an event; None where nothing was changed."""
    if event not in _WHAT:
        return None
    what, outcome = _WHAT[event]
    moment = datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    told: dict[str, Any] = {"time": moment, "who": details.get("by") or _OURSELVES, "what": what, "outcome": outcome}
    told |= {"before": details.get("before"), "after": details.get("after"), "changes": details.get("changes") or []}
    return told | {name: details[name] for name in _DETAILS if details.get(name)}


class AuditLog:
    """Appends to the file at ``path`` (mode 0600), each record on the disk before the next is begun. ``queue`` is one
    of the framework's."""

    def __init__(self, path: Path, queue: Any) -> None:
        """Raises OSError where the file cannot be opened."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        self._queue = queue

    def note(self, event: str, details: Mapping[str, Any], at_ns: int) -> None:
        """Notes an event, if it is a change; returns at once."""
        told = record(event, details, at_ns)
        if told is not None:
            self._queue.put(told)

    def write(self) -> None:
        """Writes what was noted, for ever. Raises OSError when there is no room: a network whose changes cannot be told
        is not to go on."""
        while True:
            line = json.dumps(self._queue.get(), ensure_ascii=False) + "\n"
            os.write(self._file, line.encode())
            os.fsync(self._file)
