"""Writers that must not end a network: of lines, of a history, of an audit log, of standard output, on a full disk."""

from __future__ import annotations

import errno
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_for

from helsewan.common import ownership
from helsewan.common.lines import LineFile
from helsewan.controller.control import audit_log
from helsewan.controller.control.audit_log import AuditLog
from helsewan.lab.processes.history import History, read


class Disk:
    """Room for ``room`` more bytes in files, whoever writes them; None: enough."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if self.room is None:
            return self._write(fd, data)
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(fd, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_half_a_line_is_taken_back(tmp_path: Path, disk: Disk) -> None:
    file = LineFile(tmp_path / "lines")
    assert file.append("one") and file.failure == ""
    disk.room = 2
    assert not file.append("two") and not file.append("three")
    assert (tmp_path / "lines").read_text() == "one\n"
    assert file.failure == f"{tmp_path}/lines: No space left on device: 2 lines not written"
    disk.room = None
    assert file.append("four") and (tmp_path / "lines").read_text() == "one\nfour\n"


def test_a_history_goes_on_and_says_what_it_lacks(tmp_path: Path, disk: Disk) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append("up")
    disk.room = 10
    for _ in range(3):
        history.append("lost")
    assert str(tmp_path) in history.failure and "3 lines" in history.failure
    disk.room = None
    history.append("down")
    events = list(read(tmp_path / "history.jsonl"))
    assert [event["event"] for event in events] == ["up", "history-gap", "down"]
    assert events[1]["lost"] == 3 and events[0]["wall_ns"] < events[1]["since_ns"] < events[2]["wall_ns"]
    assert history.failure == ""


def test_an_audit_log_waits_for_room_and_loses_nothing(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "RETRY_S", 0.001)
    told: list[str] = []
    log = AuditLog(tmp_path / "changes.jsonl", queue.Queue[Any]())
    disk.room = 5
    for reason in ("first", "second"):
        log.note("policy-refused", {"reason": reason}, 1)
    threading.Thread(target=log.write, args=(told.append,), daemon=True).start()
    wait_for(lambda: told, "the failure to be told")
    disk.room = None
    wait_for(lambda: (tmp_path / "changes.jsonl").read_text().count("\n") == 2, "the records")
    records = map(json.loads, (tmp_path / "changes.jsonl").read_text().splitlines())
    assert [record["reason"] for record in records] == ["first", "second"]
    assert len(told) == 1 and "changes.jsonl: No space left on device" in told[0]


def test_output_that_cannot_be_written_is_dropped() -> None:
    """Also rich's; and the program ends with its own status. A closed pipe is still noticed."""
    program = (
        "import sys\n"
        "from helsewan.common.terminal.tolerant_output import tolerate_full_disk\n"
        "tolerate_full_disk()\n"
        "from helsewan.common.terminal.screen import Screen\n"
        "Screen().print('x' * 100000)\n"
        "print('y' * 100000, file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    with open("/dev/full", "wb") as full:
        assert subprocess.run([sys.executable, "-c", program], stdout=full, stderr=full, check=False).returncode == 7
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.stdout.count(b"x") == len(done.stderr) - 1 == 100_000 and done.returncode == 7


def test_a_log_is_the_users_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there keeps its contents; a folder that is not there is not made."""
    given: list[str] = []
    monkeypatch.setattr(ownership, "give", lambda descriptor: given.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    log = tmp_path / "daemon.log"
    ownership.create_log(log)
    log.write_text("said")
    ownership.create_log(log)
    ownership.create_log(tmp_path / "none" / "daemon.log")
    assert given == [str(log)] and log.read_text() == "said" and list(tmp_path.iterdir()) == [log]
