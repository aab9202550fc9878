"""The lines of `helsewan status` and `status --last`: what is wrong comes first, with its time, reason and log."""

from __future__ import annotations

import time
from typing import Any

from helsewan.cli.tables.status import last_lines, status_lines

NOW = time.time()
ABOUT = {"name": "n", "state": "up", "stage": None, "uptime_s": 61.2, "network": "small", "seed": 1, "policy": "open"}
FACTS: dict[str, Any] = {
    **ABOUT,
    "directory": "/r",
    "api": None,
    "troubles": [],
    "past_troubles": [],
    "sites_off": [],
    "busy": "another operation",
}


def trouble(condition: str, part: str, until: float | None = None) -> dict[str, Any]:
    facts = {"part": part, "condition": condition, "since": NOW - 12, "until": until, "for_s": 12.0}
    return {**facts, "reason": "was killed by SIGKILL", "log": "/r/logs/x.log"}


def test_what_is_well_has_no_line() -> None:
    lines = status_lines(FACTS)
    assert [line.split()[0] for line in lines] == ["network", "built", "busy", "directory"]


def test_what_is_dead_stalled_and_over_has_a_line_each() -> None:
    troubles = [trouble("dead", "router south"), trouble("stalled", "north's ovs-vswitchd")]
    past = [trouble("dead", "the controller", NOW), trouble("late", "the link engine", NOW)]
    sites = [f"gp-{number}" for number in range(13)]
    lines = status_lines({**FACTS, "troubles": troubles, "past_troubles": past, "sites_off": sites})
    shown = dict(zip(("dead", "stalled", "off", "restarted", "late"), lines[2:7], strict=True))
    assert shown["dead"].startswith("dead       router south since ")
    assert shown["dead"].endswith("(12 s): was killed by SIGKILL (see /r/logs/x.log)")
    assert shown["stalled"].startswith("stalled    north's ovs-vswitchd since ")
    assert shown["off"].startswith("off        13 sites: gp-0, ") and shown["off"].endswith("gp-9 and 3 more")
    assert shown["restarted"].startswith("restarted  the controller at ")
    assert shown["late"].startswith("was late   the link engine from ")


def test_the_last_network_and_one_that_is_hardly_known() -> None:
    known = {"name": "n", "policy": "open", "network": "small", "began": NOW - 9, "up_after_s": 3.0, "directory": "/r"}
    dead = {"at": NOW - 5, "part": "router south", "what": "dead", "reason": "its ovs-vswitchd was killed by SIGKILL"}
    ending = {"ended": NOW, "how": "failed", "reason": "the link engine was killed by SIGKILL", "log": "/r/up.log"}
    lines = last_lines({**known, "troubles": [dead], **ending})
    assert lines[1] == "built of   small, policy open" and "up after 3 s" in lines[2]
    assert lines[3].startswith("dead       ") and lines[3].endswith(dead["reason"])
    assert lines[4].endswith("failed: the link engine was killed by SIGKILL") and lines[5] == "see        /r/up.log"
    lines = last_lines({"name": "n", "directory": "/r", "how": "unknown", "reason": "no such file", "log": None})
    assert lines == ["network    n", "ended      unknown: no such file", "directory  /r"]
    assert "not yet" in last_lines({**known, "how": None, "reason": "it is running", "log": None})[3]
