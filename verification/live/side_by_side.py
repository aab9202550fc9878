"""Each probe and session with its predicted and its live outcome, as JSON rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helsewan.verification.live.live_report import LiveReport


def as_rows(report: LiveReport) -> Iterator[dict[str, Any]]:
    """One row for each probe and session; frames in hexadecimal."""
    for answer in report.answers:
        probe = answer.probe
        yield {
            "kind": probe.kind.value,
            "name": probe.name,
            "from": {"site": probe.site, "line": probe.line},
            "frame": probe.frame.hex(),
            "policy": f"{probe.expected.disposition.value}: {probe.expected.reason}",
            "source": probe.expected.source or None,
            "static": str(answer.static),
            "proved": None if answer.proved is None else sorted(answer.proved),
            "live": str(answer.live),
            "agrees": answer.agrees,
        }
    for result in report.sessions:
        session = result.session
        yield {
            "kind": "conversations",
            "name": session.name,
            "from": {"site": session.client, "line": 0},
            "frame": None,
            "policy": "allowed" if session.allowed else "not allowed",
            "source": session.source or None,
            "static": session.static,
            "proved": None,
            "live": result.live,
            "agrees": result.agrees,
        }
