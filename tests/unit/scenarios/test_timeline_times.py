"""When events happen: absolute, relative, periodic and random times, and what is said about those that cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from timeline_case import FIRST_LINE, problems, read

from helsewan.scenarios.spec.timeline.plan import plan_timeline
from helsewan.scenarios.spec.timeline.schema import ACTIONS, EventSpec

DOCS = Path(__file__).parents[3] / "docs" / "scenarios" / "timeline.md"


def planned(*events: str, **changes: str) -> dict[str, int | None]:
    return {event.name: event.at_us for event in plan_timeline(read(*events, **changes).spec).events}


def test_times_are_absolute_or_relative_to_events_and_the_end() -> None:
    assert planned(
        "c: {at: b + 2 s, mark: c}",
        "b: {at: a - 500 ms, mark: b}",
        "a: {at: 10 s, mark: a}",
        "d: {at: end - 1 s, mark: d}",
    ) == {"b": 9_500_000, "a": 10_000_000, "c": 11_500_000, "d": 29_000_000}


def test_a_periodic_event_has_occurrences_that_others_refer_to() -> None:
    times = planned("beat: {at: 5 s, every: 4 s, times: 3, mark: x}", "last: {at: beat.3 + 1 s, mark: y}")
    assert times == {"beat": 5_000_000, "beat.2": 9_000_000, "beat.3": 13_000_000, "last": 14_000_000}


def test_events_at_one_time_are_in_the_files_order() -> None:
    assert list(planned("b: {at: 5 s, mark: b}", "a: {at: 5 s, mark: a}", "c: {at: 1 s, mark: c}")) == ["c", "b", "a"]


@given(seed=st.integers(0, 2**31), first=st.integers(1, 12), span=st.integers(1, 17))
@settings(max_examples=40, deadline=None)
def test_random_times_are_within_their_bounds_and_the_same_for_the_same_seed(seed: int, first: int, span: int) -> None:
    events = (f"a: {{between: [{first} s, {first + span} s], mark: a}}", "b: {between: [a + 1 s, a + 2 s], mark: b}")
    times = planned(*events, network__seed=str(seed))
    a_us, b_us = times["a"], times["b"]
    assert a_us is not None and b_us is not None
    assert first * 10**6 <= a_us <= (first + span) * 10**6 and a_us + 10**6 <= b_us <= a_us + 2 * 10**6
    assert a_us % 1000 == 0
    assert times == planned(*events, network__seed=str(seed))


def test_another_seed_draws_another_time() -> None:
    drawn = {planned("a: {between: [1 s, 29 s], mark: a}", network__seed=str(seed))["a"] for seed in range(5)}
    assert len(drawn) == 5


def test_events_on_conditions_and_those_after_them_have_no_time_beforehand() -> None:
    times = planned(
        "a: {when: {event: b}, deadline: 20 s, mark: a}", "b: {at: 1 s, mark: b}", "c: {at: a + 1 s, mark: c}"
    )
    assert times == {"b": 1_000_000, "a": None, "c": None}


FAIL = "fail: {link: oslo-hamar}"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["a: {at: 31 s, mark: a}"], "7: timeline.a.at: '31 s' is not within the run (hint: the run ends at 30 s)"),
        (["a: {at: b - 3 s, mark: a}", "b: {at: 2 s, mark: b}"], "7: timeline.a.at: 'b - 3 s' is not within the run"),
        (["a: {at: end + 1 s, mark: a}"], "7: timeline.a.at: 'end + 1 s' is not within the run"),
        (["aa: {at: ab + 3 s, mark: a}", "ac: {at: 2 s, mark: b}"], "7: timeline.aa.at: 'ab + 3 s' refers to no event"),
        (["a: {at: b, mark: a}", "b: {at: a, mark: b}"], "7: timeline.a: 'a > b > a' is a circle of events that wait"),
        (["a: {at: a + 1 s, mark: a}"], "7: timeline.a: 'a > a' is a circle of events that wait for each other"),
        (
            ["a: {when: {event: b}, deadline: 9 s, mark: a}", "b: {at: c + 1 s, mark: b}", "c: {at: a, mark: c}"],
            "7: timeline.a: 'a > b > c > a' is a circle of events that wait for each other (hint: give one of them",
        ),
        (
            ["a: {at: 3 s, mark: a}", "b: {when: {event: x}, deadline: 9 s, mark: b}"],
            "8: timeline.b.when.event: 'x' is",
        ),
        (["a: {when: repaired, mark: a}"], "7: timeline.a: waits without a deadline (hint: add for example deadline"),
        (["a: {at: 1 s, deadline: 2 s, mark: a}"], "7: timeline.a: has a deadline but waits for nothing"),
        (["a: {at: 1 s, when: repaired, deadline: 2 s, mark: a}"], "7: timeline.a: is not exactly one time"),
        (["a: {mark: a}"], "7: timeline.a: is not exactly one time (hint: give one of at, between, when)"),
        (["a: {at: 1 s}"], "7: timeline.a: is not exactly one action (hint: give one of fail, restore"),
        (["a: {at: 1 s, mark: a, " + FAIL + "}"], "7: timeline.a: is not exactly one action"),
        (["a: {at: 1 s, every: 1 s, mark: a}"], "7: timeline.a: does not say how often"),
        (["a: {between: [1 s, 2 s], every: 1 s, times: 2, mark: a}"], "7: timeline.a: is repeated from no time"),
        (["a: {at: 1 s, every: 10 s, times: 4, mark: a}"], "7: timeline.a.times: 4 makes the last one happen at 31 s"),
        (["a: {at: 1 s, every: 1 s, times: 2, mark: a}", "a.2: {at: 1 s, mark: b}"], "8: timeline.a.2: 'a.2' is"),
        (["a: {between: [5 s, 4 s], mark: a}"], "7: timeline.a.between: '5 s to 4 s' is no span"),
        (
            ["a: {when: {event: b}, deadline: 9 s, mark: a}", "b: {at: 1 s, mark: b}", "c: {at: a - 1 s, mark: c}"],
            "9: timeline.c.at: 'a - 1 s' is before an event whose time is not known beforehand",
        ),
        (
            [
                "a: {when: {event: b}, deadline: 9 s, mark: a}",
                "b: {at: 1 s, mark: b}",
                "c: {between: [a, end], mark: c}",
            ],
            "9: timeline.c.between[0]: 'a' depends on a condition, so no time can be drawn",
        ),
        (["a: {when: {event: b}, deadline: 9 s, after: 9 s, mark: a}", "b: {at: 1 s, mark: b}"], "7: timeline.a.d"),
        (["a: {when: repaired, deadline: 9 s, mark: a}"], "7: timeline.a.when: 'repaired' waits for a repair"),
        (["a: {when: mended, deadline: 9 s, mark: a}"], "7: timeline.a.when: 'mended' is not allowed"),
        (
            ['a: {when: {metric: mos, limit: "< 4"}, deadline: 9 s, mark: a}'],
            "7: timeline.a.when.metric: 'mos' cannot be followed while the run goes on",
        ),
        (
            ['a: {when: {metric: loss, limit: "< 4 ms"}, deadline: 9 s, mark: a}'],
            "7: timeline.a.when.limit: '< 4 ms' unit 'ms' is unknown",
        ),
        (
            ['a: {when: {metric: loss, limit: "> 1 %", traffic: cals}, deadline: 9 s, mark: a}'],
            "7: timeline.a.when.traffic: 'cals' is no traffic (hint: did you mean 'calls'?)",
        ),
        (["a: {at: 1 s, end: b}"], "7: timeline.a.end: 'b' is no event"),
        (["a: {at: 1 s, end: b}", "b: {at: 2 s, " + FAIL + "}"], "7: timeline.a.end: 'b' begins only at 2 s"),
        (["a: {at: 3 s, end: b}", "b: {at: 2 s, for: 5 s, " + FAIL + "}"], "7: timeline.a.end: 'b' ends by itself"),
        (["a: {at: 3 s, end: b}", "b: {at: 2 s, undo: keep, " + FAIL + "}"], "7: timeline.a.end: 'b' is to be kept"),
        (["a: {at: 3 s, end: b}", "b: {at: 2 s, mark: x}"], "7: timeline.a.end: 'b' does not last: mark"),
        (["a: {at: 3 s, for: 1 s, mark: x}"], "7: timeline.a: mark does not last (hint: leave for out)"),
        (["a: {at: 3 s, undo: keep, mark: x}"], "7: timeline.a: mark has nothing to keep"),
        (["a: {at: 3 s, fail: {}}"], "7: timeline.a.fail: is not exactly one target (hint: give"),
        (["a: {at: 3 s, set: {link: x, rate: 3}}"], "7: timeline.a.set: rate '3' unit is missing"),
        (["a: {at: 3 s, set: {link: x}}"], "7: timeline.a.set: is not either"),
        (["a: {at: 3 s, set: {link: x, loss: 1 %, trace: x.csv}}"], "7: timeline.a.set: is not either"),
        (["a: {at: 3 s, set: {link: x, loss: 1 %, repeat: 1 s}}"], "7: timeline.a.set: repeats no trace"),
        (["a: {at: 3 s, cut: {link: x}}"], "7: timeline.a.cut.direction: is missing"),
        (["a: {at: 3 s, cut: {link: x, direction: both}}"], "7: timeline.a.cut.direction: 'both' is not allowed"),
        (["a: {at: 3 s, command: {site: x, run: 'echo \"'}}"], "7: timeline.a.command.run: 'echo \"' is no"),
        (["start: {at: 3 s, mark: x}"], "7: timeline.start: 'start' is a reserved name"),
    ],
)
def test_times_that_cannot_be_are_refused_at_their_line(events: list[str], expected: str) -> None:
    found = problems(*events)
    assert any(problem.startswith(f"small.yaml:{expected}") for problem in found), found


def test_all_problems_are_told_in_one_pass() -> None:
    found = problems("a: {at: 31 s, mark: a}", "b: {at: 1 s, end: c}", "c: {at: 3 s, mark: c}", "d: {at: x, mark: d}")
    lines = {int(problem.split(":")[1]) - FIRST_LINE for problem in found}
    assert lines == {0, 1, 3}, found


def test_phases_of_conditional_events_are_allowed_and_unknown_ones_refused() -> None:
    events = ("a: {at: 3 s, fail: {link: oslo-hamar}}", "b: {when: repaired, deadline: 9 s, mark: b}")
    read(*events, more="phases: {after: {from: b, to: end}}")
    assert problems(*events, more="phases: {after: {from: x, to: end}}")[0].startswith(
        "small.yaml:9: phases.after.from"
    )


def test_the_documents_examples_are_valid() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
        for event in yaml.safe_load(block)["timeline"].values():
            EventSpec.model_validate(event)
    examples = re.findall(r"^\| [^|]*\| `((?:\w+): [^`]*)`", text, re.M)
    shown = set()
    for example in examples:
        written = yaml.safe_load(example)
        (key,) = written
        if key in ACTIONS:
            shown.add(EventSpec.model_validate({"at": "1 s", **written}).action)
    assert shown == set(ACTIONS)
