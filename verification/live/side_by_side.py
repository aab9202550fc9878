"""Each probe with both answers, as rows for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helsewan.verification.live.live_report import LiveReport


def as_rows(report: LiveReport) -> Iterator[dict[str, Any]]:
    """Every question with both answers, the frames that were sent as hex."""
    for answer in report.answers:
        question = answer.question
        yield {
            "kind": question.group.value,
            "name": question.name,
            "from": {"site": question.site, "line": question.line},
            "frame": question.frame.hex(),
            "policy": f"{question.says.disposition.value}: {question.says.reason}",
            "source": question.says.source or None,
            "static": str(answer.static),
            "proved": None if answer.proved is None else sorted(answer.proved),
            "live": str(answer.live),
            "agrees": answer.agrees,
        }
    for told in report.talks:
        talk = told.talk
        yield {
            "kind": "conversations",
            "name": talk.name,
            "from": {"site": talk.client, "line": 0},
            "frame": None,
            "policy": "allowed" if talk.allowed else "not allowed",
            "source": talk.source or None,
            "static": talk.static,
            "proved": None,
            "live": told.live,
            "agrees": told.agrees,
        }
