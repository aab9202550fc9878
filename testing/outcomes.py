"""Outcomes of tests on emulated networks: void where the machine could not keep up, and what a failure's report
carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import pytest

from helsewan.testing.session import CAPTURES, EARLIER_VOID, FAILED, USED

if TYPE_CHECKING:
    from helsewan.lab.health.validity import Validity
    from helsewan.testing.wan import Wan

VOID = "void"
_MARK = "helsewan_void"  # attribute of a report: why it is void
MOST_EVENTS, MOST_LOG_LINES = 40, 20
_COMPLAINTS = ("ERR", "EMER", "WARN", "error", "Traceback")


def failed_alone(reason: str) -> NoReturn:
    """Fail the present test with a reason and no traceback."""
    pytest.fail(reason, pytrace=False)


def is_void(report: pytest.TestReport) -> bool:
    """Whether the machine could not keep up during this part of a test."""
    return bool(getattr(report, _MARK, ""))


def judged(item: pytest.Item, report: pytest.TestReport) -> None:
    """Make a test's report void where its machine could not keep up, and add what its network knows to a failed one.
    A skipped test stays one."""
    wan: Wan | None = item.stash.get(USED, None)
    if wan is None or report.when != "call" or report.skipped:
        return
    validity = _validity(wan)
    properties = list(_properties(wan, validity))
    item.user_properties += properties  # JUnit's file has those of the teardown's report
    report.user_properties += properties
    if validity is not None and validity.grade.value == VOID:
        reason = "; ".join(str(each) for each in validity.reasons)
        setattr(report, _MARK, reason)
        report.outcome = "failed"  # never a pass, whatever the test found
        report.longrepr = f"void: {reason}"
    if report.failed:
        item.stash[FAILED] = True
        report.sections += list(_sections(item, wan, validity))


def void_again(item: pytest.Item, reports: Sequence[pytest.TestReport]) -> None:
    """Note that an attempt was void and the test runs again."""
    reasons = [str(getattr(report, _MARK)) for report in reports if is_void(report)]
    item.stash.setdefault(EARLIER_VOID, []).extend(reasons)
    item.user_properties = [("helsewan_void_attempts", len(item.stash[EARLIER_VOID]))]


def rows_of_void(reports: Sequence[pytest.TestReport]) -> list[str]:
    """A line for each void test."""
    return [f"{report.nodeid}: {getattr(report, _MARK)}" for report in reports]


def _validity(wan: Wan) -> Validity | None:
    try:
        return wan.emulation.validity(since=wan.began_s)
    except Exception:  # the network is lost: the test's own error tells
        return None


def _properties(wan: Wan, validity: Validity | None) -> Iterator[tuple[str, object]]:
    from helsewan.lab.processes import machine

    yield "helsewan_seed", wan.choice.seed
    yield "helsewan_topology", wan.topology_hash
    yield "helsewan_grade", validity.grade.value if validity else "unknown"
    for name, version in machine.versions().items():
        yield f"helsewan_version_{name}", str(version)


def _sections(item: pytest.Item, wan: Wan, validity: Validity | None) -> Iterator[tuple[str, str]]:
    events = wan.events
    shown = [json.dumps(event, default=str) for event in events[-MOST_EVENTS:]]
    if shown:
        left_out = f"(the last {MOST_EVENTS} of {len(events)})\n" if len(events) > MOST_EVENTS else ""
        yield "helsewan: events", left_out + "\n".join(shown)
    try:
        changed = wan.emulation.links.changed()
    except Exception as error:  # a part is lost
        yield "helsewan: links", f"cannot be read: {error}"
    else:
        if changed:
            yield "helsewan: links changed", "\n".join(json.dumps(each, default=str) for each in changed)
    files = item.stash.get(CAPTURES, [])
    if files:
        yield "helsewan: captures", "\n".join(map(str, files))
    complaints = list(_complaints(wan))
    if complaints:
        yield "helsewan: logs that complain", "\n".join(complaints)
    if validity is not None:
        reasons = "".join(f"\n  {each}" for each in validity.reasons)
        yield "helsewan: machine", f"{validity.grade.value} since the test began{reasons}"


def _complaints(wan: Wan) -> Iterator[str]:
    """The last lines of each log that complain of something."""
    for log in sorted(wan.log_dir.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [line for line in lines if any(word in line for word in _COMPLAINTS)]
        yield from (f"{log.name}: {line}" for line in found[-MOST_LOG_LINES:])
