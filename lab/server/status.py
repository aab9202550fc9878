"""The state of a running lab, as JSON values."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from helsewan.lab.health.health_log import as_json
from helsewan.lab.testbed.running_health import RunningHealth
from helsewan.lab.testbed.testbed import Testbed


def status_of(testbed: Testbed) -> dict[str, Any]:
    """Sizes, lateness of the link engine, frames dropped by the machine, memory."""
    drops = testbed.machine_drops()
    routers = len(testbed.network.routers)
    return {
        "sites": len(testbed.network.sites),
        "routers": routers,
        "lines": len(testbed.backend.links) - routers,  # without each router's link to the operations centre
        **testbed.forwarding.as_json(),
        **(_lateness(testbed) if testbed.has_engine else {}),
        "machine_drops": sum(drops.values()),
        "dropped_at": drops,
        "memory_bytes": _memory_bytes(),
    }


def validity_of(health: RunningHealth, since_s: float | None, drops: dict[str, int]) -> dict[str, Any]:
    """How far results can be trusted, from ``since_s`` on (s since the epoch; None: since the lab is up, with all
    ``drops``), and the grade of the last minute."""
    facts = as_json(health.validity(since_s, drops))
    return {"since_s": since_s, "last_minute": health.grade.value, **facts}


def _lateness(testbed: Testbed) -> dict[str, Any]:
    """How late the link engine delivered, microseconds."""
    lateness = testbed.engine.lateness()
    return {
        "late_p50_us": round(lateness.p50_us, 1),
        "late_p99_us": round(lateness.p99_us, 1),
        "late_max_us": round(lateness.max_us, 1),
        "deliveries": lateness.deliveries,
    }


def _memory_bytes() -> int:
    """Memory of all processes of the sandbox, shared pages counted once (proc(5), smaps_rollup: Pss)."""
    total_kib = 0
    for rollup in Path("/proc").glob("[0-9]*/smaps_rollup"):
        with suppress(OSError):  # the process has ended meanwhile
            words = rollup.read_text(encoding="ascii", errors="replace").split()
            if "Pss:" in words:
                total_kib += int(words[words.index("Pss:") + 1])
    return total_kib * 1024
