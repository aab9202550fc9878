"""Exceptions hold from their beginning to their end: in the plan of a moment, and in a controller that goes on."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import policy_golden
import pytest
from policy_network import small_network

from helsewan.controller.update.exception_scheduler import ExceptionScheduler, status_changes
from helsewan.controller.update.policy_change import Origin
from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.compile import compile_anew, compile_policy
from helsewan.policies.language.timestamps import parse_timestamp
from helsewan.policies.plan import ExceptionState, Plan

POLICY = """\
name: excepting
include: national
exceptions:
  pictures:
    from: {site: [h-bodo]}
    to: {site: [h-st-olav]}
    services: [dicom]
    reason: the scanner in Bodø is being moved
    begins: 2027-01-10
    until: 2027-02-01 16:00+01:00
  records:
    from: {site: [h-bodo]}
    to: {site: [h-st-olav]}
    services: [dicom, ehr]
    reason: patients go with their records
    until: 2027-02-20
"""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def plan(at: str) -> Plan:
    return compile_policy(policy_golden.policy(POLICY), small_network(), now=moment(at))


def states(plan: Plan) -> dict[str, str]:
    return {each.name: each.state.value for each in plan.exceptions}


@pytest.mark.parametrize(
    ("at", "pictures", "records", "next_change"),
    [
        ("2027-01-09T23:59:59", "not begun", "in force", "2027-01-10T00:00:00"),
        ("2027-01-10T00:00:00", "in force", "in force", "2027-02-01T15:00:00"),
        ("2027-02-01T14:59:59", "in force", "in force", "2027-02-01T15:00:00"),
        ("2027-02-01T15:00:00", "ended", "in force", "2027-02-21T00:00:00"),
        ("2027-02-20T23:59:59", "ended", "in force", "2027-02-21T00:00:00"),
        ("2027-02-21T00:00:00", "ended", "ended", None),
    ],
)
def test_exceptions_stand_as_their_dates_say(at: str, pictures: str, records: str, next_change: str | None) -> None:
    found = plan(at)
    assert states(found) == {"pictures": pictures, "records": records}
    assert found.next_change == (moment(next_change) if next_change else None)
    allowed = {service: is_allowed(found, "h-bodo", "h-st-olav", service) is not None for service in ("dicom", "ehr")}
    assert allowed == {"dicom": "in force" in (pictures, records), "ehr": records == "in force"}
    assert is_allowed(found, "h-st-olav", "h-bodo", "dicom") is None


def test_what_two_grant_goes_on_when_one_ends() -> None:
    contracts = [is_allowed(plan(at), "h-bodo", "h-st-olav", "dicom") for at in ("2027-01-15", "2027-02-05")]
    assert [contract.name if contract else None for contract in contracts] == ["pictures", "records"]


def test_without_a_moment_no_exception_is_in_force() -> None:
    found = compile_policy(policy_golden.policy(POLICY), small_network())
    assert {each.state for each in found.exceptions} == {ExceptionState.LEFT_OUT}
    assert found.next_change is None
    assert is_allowed(found, "h-bodo", "h-st-olav", "dicom") is None


def test_exceptions_in_force_tell_plans_of_one_file_apart() -> None:
    digests = [plan(at).digest for at in ("2027-01-09", "2027-01-15", "2027-01-16", "2027-03-01")]
    assert len(set(digests)) == 3 and digests[1] == digests[2]


def test_the_policy_of_another_moment_is_the_same_but_for_exceptions() -> None:
    before = plan("2027-01-15")
    assert compile_anew(before, moment("2027-03-01")).contracts == without_lines(plan("2027-03-01"), before)


def without_lines(wanted: Plan, before: Plan) -> tuple[object, ...]:
    """The contracts of ``wanted`` with the lines they have in the text that ``before`` carries."""
    return compile_policy(policy_golden.policy(before.source), wanted.network, now=moment("2027-03-01")).contracts


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2027-01-31", "2027-01-31T00:00:00", "2027-02-01T00:00:00"),
        ("2027-01-31 12:30Z", "2027-01-31T12:30:00", "2027-01-31T12:30:00"),
        ("2027-01-31T12:30:10-02:00", "2027-01-31T14:30:10", "2027-01-31T14:30:10"),
    ],
)
def test_moments(text: str, begins: str, ends: str) -> None:
    found = parse_timestamp(text)
    assert (found.begins, found.ends) == (moment(begins), moment(ends))


@dataclass
class Clock:
    """A clock that stands until it is set."""

    at: datetime
    asked: queue.Queue[tuple[Plan, Origin]] = field(default_factory=queue.Queue)

    def now(self) -> datetime:
        return self.at

    def change(self, plan: Plan, origin: Origin) -> None:
        self.asked.put((plan, origin))


def test_the_calendar_changes_the_plan_at_the_moment() -> None:
    clock = Clock(moment("2027-02-01T14:59:59") + timedelta(milliseconds=900))
    before = plan("2027-01-15")
    calendar = ExceptionScheduler(clock.change, clock.now)
    calendar.set_plan(plan("2027-01-15"))
    threading.Thread(target=calendar.run, daemon=True).start()
    with pytest.raises(queue.Empty):
        clock.asked.get(timeout=0.3)  # it looks, and the clock stands before the moment
    clock.at = moment("2027-02-01T15:00:00")
    after, origin = clock.asked.get(timeout=30)
    assert states(after) == {"pictures": "ended", "records": "in force"}
    assert origin.changes == status_changes(before, after) == ("exceptions.pictures: ended",)
    with pytest.raises(queue.Empty):
        clock.asked.get(timeout=0.3)  # it waits for what becomes of that
    clock.at = moment("2027-02-22")
    calendar.set_plan(after)
    assert states(clock.asked.get(timeout=30)[0]) == {"pictures": "ended", "records": "ended"}
