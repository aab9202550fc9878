"""The audit log of changes: which events are changes, their records, and that these are synced to disk."""

from __future__ import annotations

import json
import queue
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_for

from helsewan.controller.control.audit_log import AuditLog, record

AT_NS = 1_700_000_000_123_456_789


def test_a_change_is_recorded_with_user_before_and_after() -> None:
    details = {
        "by": {"door": "api", "name": "anna", "uid": 1000},
        "before": {"version": "1-a"},
        "after": {"version": "2-b"},
        "changes": ["a: 1 became 2"],
        "rules": [1, 2, 3],
        "request": "17",
        "seconds": 0.1,
    }
    assert record("policy-switched", details, AT_NS) == {
        "time": "2023-11-14T22:13:20.123+00:00",
        "who": {"door": "api", "name": "anna", "uid": 1000},
        "what": "policy",
        "outcome": "done",
        "before": {"version": "1-a"},
        "after": {"version": "2-b"},
        "changes": ["a: 1 became 2"],
        "rules": [1, 2, 3],
        "request": "17",
    }


@pytest.mark.parametrize("event", ["drift", "drift-repaired", "adopted", "paths-refused"])
def test_changes_by_the_controller_itself_are_attributed_to_it(event: str) -> None:
    told = record(event, {"router": "oslo", "entries": ["missing: x"]}, AT_NS)
    assert told is not None and told["who"] == {"door": "controller"}
    assert told["entries"] == ["missing: x"]


@pytest.mark.parametrize("event", ["port-down", "switch-up", "error", "listening", "leading"])
def test_other_events_are_no_changes(event: str) -> None:
    assert record(event, {}, AT_NS) is None


def test_the_log_is_appended_to_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    for reason in ("first", "second"):
        noted: queue.Queue[Any] = queue.Queue()
        log = AuditLog(path, noted)
        log.note("policy-refused", {"reason": reason}, AT_NS)
        log.note("port-up", {}, AT_NS)
        threading.Thread(target=log.write, daemon=True).start()
        wait_for(lambda reason=reason: reason in path.read_text(), "the record")
    assert [json.loads(line)["reason"] for line in path.read_text().splitlines()] == ["first", "second"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "changes.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="ymbolic"):
        AuditLog(tmp_path / "changes.jsonl", queue.Queue())
