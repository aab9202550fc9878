"""How a network ended: the last word of its history, and a record of the latest networks by which that is found.

The record is a file in the user's state directory (XDG Base Directory Specification): JSON, the newest network last.
A network that was killed outright leaves no last word; then the history's latest event tells how far it came.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from helsewan.common.ownership import hand_over
from helsewan.lab.client.registry import LabRegistry
from helsewan.lab.processes.history import History, read

HISTORY = "history.jsonl"
DOWN, FAILED = "down", "failed"  # the last event of a history
KEPT = 20
TROUBLES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Ending:
    """How a network ended: ``asked``, ``interrupted``, ``failed`` or ``killed``, for a ``reason``; ``log`` is the file
    or folder that may tell more."""

    how: str
    reason: str
    log: str = ""

    @property
    def event(self) -> str:
        """The name of the history's last event."""
        return DOWN if self.how in ("asked", "interrupted") else FAILED

    def facts(self) -> dict[str, str | None]:
        """The details of that event."""
        return {"how": self.how, "reason": self.reason, "log": self.log or None}


def note_killed(directory: Path, reason: str) -> None:
    """Append to the history of ``directory``, whose writer was killed, that it was. Nothing is raised: this is the
    last that is done about a network."""
    with suppress(OSError, ValueError):
        history = directory / HISTORY
        if history.exists() and any(event["event"] in (DOWN, FAILED) for event in read(history)):
            return
        with history.open("rb+") as file:
            file.seek(0, os.SEEK_END)
            if size := file.tell():
                file.seek(size - 1)
                if file.read(1) != b"\n":  # the line that it was about to write
                    file.write(b"\n")
        ending = Ending("killed", reason, str(directory))
        with History(history) as writer:
            writer.append(ending.event, **ending.facts())


@dataclass(frozen=True, slots=True)
class LastNetwork:
    """A network that was started: its ``name``, the folder of the ``registry`` that it was registered in, and the
    ``directory`` of its results."""

    registry: str
    name: str
    directory: str


def remember(registry: LabRegistry, name: str, directory: Path) -> None:
    """Record that network ``name`` was started. A state directory that cannot be written is no error."""
    new = LastNetwork(str(registry.path), name, str(directory))
    _change(lambda known: [*known, new][-KEPT:])


def forget(directory: Path) -> None:
    """Remove from the record a network that was refused, and whose ``directory`` is removed."""
    _change(lambda known: [each for each in known if each.directory != str(directory)])


def _change(change: Callable[[list[LastNetwork]], list[LastNetwork]]) -> None:
    with suppress(OSError), _locked() as path:
        temporary = path.with_suffix(".new")
        known = [asdict(each) for each in change(_load(path))]
        temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        hand_over(temporary)
        temporary.replace(path)


def last_network(registry: LabRegistry, name: str | None) -> LastNetwork | None:
    """The network that was started last, of that ``name`` if it is given; None where none is known."""
    own = [each for each in _load(_file()) if each.registry == str(registry.path) and name in (None, each.name)]
    return own[-1] if own else None


def details(network: LastNetwork, runs: bool) -> dict[str, Any]:
    """What is known of a network, as JSON values: ``how`` it ended, for which ``reason`` (``how`` is None while it
    ``runs``), and the troubles of its parts. Times are Unix times in seconds."""
    found: dict[str, Any] = {"name": network.name, "directory": network.directory}
    history = Path(network.directory) / HISTORY
    try:
        events = list(read(history))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return found | {"how": None if runs else "unknown", "reason": f"{history}: {reason}", "log": None}
    first = next((event for event in events if event["event"] == "up"), {})
    up = next((event for event in events if event["event"] == "network-up"), None)
    troubles = [event for event in events if event["event"] in ("part-dead", "part-stalled", "part-given-up")]
    found |= {key: first.get(key) for key in ("policy", "network")}
    found |= {"began": _seconds(first), "up_after_s": up and up.get("seconds")}
    found["troubles"] = [{"at": _seconds(each), **_trouble(each)} for each in troubles[-TROUBLES_SHOWN:]]
    if runs:
        return found | {"how": None, "reason": "it is running", "log": None}
    last = events[-1] if events else {}
    if last.get("event") not in (DOWN, FAILED):
        latest = f"; its latest event was {last['event']}" if last else ""
        reason = f"killed, with no time for a last word{latest}"
        return found | {"ended": _seconds(last), "how": "killed", "reason": reason, "log": network.directory}
    return found | {"ended": _seconds(last)} | {key: last.get(key) for key in ("how", "reason", "log")}


def _trouble(event: dict[str, Any]) -> dict[str, Any]:
    return {"part": event.get("part"), "what": event["event"].removeprefix("part-"), "reason": event.get("reason")}


def _seconds(event: dict[str, Any]) -> float | None:
    return event["wall_ns"] / 1e9 if "wall_ns" in event else None


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    home = os.path.expanduser("~")
    if not os.path.isabs(home):  # a user without an entry in passwd(5): nothing is recorded
        home = os.devnull
    base = Path(state) if os.path.isabs(state) else Path(home, ".local", "state")
    return base / "helsewan" / "networks.json"


def _load(path: Path) -> list[LastNetwork]:
    """The networks recorded; none where the file is absent or not ours."""
    try:
        return [LastNetwork(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


@contextmanager
def _locked() -> Iterator[Path]:
    """The record's path, with its folder created and locked."""
    path = _file()
    for missing in reversed([folder for folder in path.parents if not folder.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        hand_over(missing)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(folder)
