"""Following a timeline on a clock that only waiting moves: order, conditions, deadlines, undo; one seed, one order."""

from __future__ import annotations

import pytest
from timeline_case import Followed, follow

FAIL, RESTORE = "fail: {link: oslo-hamar}", "restore: {link: oslo-hamar}"
POLL_US = 10_000


def missed(followed: Followed) -> dict[str, str]:
    return {each["of"]: each["reason"] for each in followed.history if each["event"] == "event-missed"}


def recorded(followed: Followed, name: str) -> dict[str, object]:
    return next(each for each in followed.history if each["event"] == name)


def test_events_happen_at_their_times_and_the_history_has_both() -> None:
    run = follow(f"cut: {{at: 4 s, {FAIL}}}", f"back: {{at: cut + 2 s, {RESTORE}}}")
    assert run.begun == [("cut", 4_000_000), ("back", 6_000_000)]
    cut = recorded(run, "cut")
    assert (cut["planned_us"], cut["begun_us"], cut["done_us"]) == (4_000_000, 4_001_000, 4_001_000)
    assert cut["action"] == "fail" and cut["target"] == "cut"


def test_the_order_is_kept_when_an_event_is_late() -> None:
    run = follow("a: {at: 4 s, mark: a}", "b: {at: 4 s, mark: b}", "c: {at: 4000500 us, mark: c}")
    assert run.begun == [("a", 4_000_000), ("b", 4_001_000), ("c", 4_002_000)]


def test_long_actions_do_not_hold_up_the_timeline() -> None:
    run = follow(
        "boot: {at: 4 s, restore: {router: hamar}}",
        "off: {at: 1 s, fail: {router: hamar}}",
        "m: {at: 5 s, mark: m}",
        slow={"boot": 3_000_000},
    )
    assert dict(run.begun) == {"off": 1_000_000, "boot": 4_000_000, "m": 5_000_000}
    assert 7_001_000 <= run.times["boot"].done_us <= 7_001_000 + POLL_US
    assert [each["event"] for each in run.history] == ["off", "m", "boot"]


def test_an_action_that_never_takes_effect_is_recorded_as_unfinished() -> None:
    run = follow("p: {at: 29 s, policy: open}", slow={"p": 10**9})
    assert recorded(run, "p")["unfinished"] is True
    assert run.times["p"].done_us == 30_000_000


def test_a_condition_sets_its_event_and_those_after_it_off() -> None:
    run = follow(
        f"cut: {{at: 4 s, {FAIL}}}",
        "healed: {when: repaired, deadline: 20 s, mark: healed}",
        "later: {at: healed + 1 s, every: 1 s, times: 2, mark: later}",
        "also: {when: {event: later.2}, deadline: end, mark: also}",
        holds={"healed": 6_000_000},
    )
    times = dict(run.begun)
    assert 6_000_000 <= times["healed"] <= 6_000_000 + POLL_US
    assert times["later"] == times["healed"] + 1_000_000 and times["later.2"] == times["later"] + 1_000_000
    assert times["also"] - times["later.2"] <= POLL_US + 1_000
    assert missed(run) == {}


def test_what_depends_on_a_missed_event_does_not_take_place_either() -> None:
    run = follow(
        f"cut: {{at: 4 s, {FAIL}}}",
        "healed: {when: repaired, deadline: cut + 3 s, mark: healed}",
        "later: {at: healed + 1 s, mark: later}",
        "last: {when: {event: later}, deadline: end, mark: last}",
        'dull: {when: {metric: loss, limit: "> 1 %"}, after: later, deadline: end, blackhole: {link: oslo-hamar}}',
        "over: {at: 29 s, end: dull}",
    )
    assert [name for name, _ in run.begun] == ["cut"]
    reasons = missed(run)
    assert reasons["healed"] == "its condition did not hold by 7 s"
    assert reasons["later"] == reasons["dull"].replace("later", "healed") == "healed did not take place"
    assert reasons["last"] == "later did not take place"
    assert reasons["over"] == "dull did not take place, or has ended already"
    assert set(run.times) == {"cut"}


def test_a_condition_is_looked_at_from_after_on() -> None:
    run = follow("x: {when: {event: m}, after: m + 5 s, deadline: end, mark: x}", "m: {at: 1 s, mark: m}")
    assert 6_000_000 <= dict(run.begun)["x"] <= 6_000_000 + POLL_US


def test_what_lasts_ends_by_itself_by_an_event_or_with_the_run() -> None:
    run = follow(
        "a: {at: 2 s, every: 4 s, times: 2, for: 1 s, blackhole: {link: oslo-hamar}}",
        "b: {at: 3 s, partition: {region: nord}}",
        "no-b: {at: 8 s, end: b}",
        "c: {at: 9 s, pause: {router: hamar}}",
        "d: {at: 10 s, undo: keep, set: {link: oslo-hamar, loss: 1 %}}",
        "e: {at: 11 s, withdraw: {pop: bodo}}",
    )
    assert run.undone == [("a", 3_000_000), ("a.2", 7_000_000), ("b", 8_000_000)]
    ended = [each for each in run.history if each["event"] == "event-ended"]
    assert [(each["of"], each["planned_us"]) for each in ended] == [("a", 3_000_000), ("a.2", 7_000_000)]
    run.undo.end_all()
    assert [name for name, _ in run.undone[3:]] == ["e", "c"], "the last first, and what is to be kept stays"
    assert [each["of"] for each in run.history if each["event"] == "undone"] == ["e", "c"]


def test_a_flapping_link_goes_and_comes_until_it_is_ended() -> None:
    flap = "f: {at: 2 s, flap: {link: oslo-hamar, down: 200 ms, up: 300 ms, times: 2}}"
    whole = follow(flap)
    assert whole.begun == [("f", 2_000_000), ("f up", 2_200_000), ("f down", 2_500_000)]
    cut_short = follow(flap, "no-more: {at: 2300 ms, end: f}")
    assert cut_short.begun == [("f", 2_000_000), ("f up", 2_200_000)]


def test_rules_are_read_relative_to_events_that_took_place() -> None:
    more = "verify: {rules: {before: cut - 1 s, dark: cut + 1 s, healed: healed + 1 s, at: 2 s, never: never + 1 s}}"
    run = follow(
        f"cut: {{at: 4 s, {FAIL}}}",
        "healed: {when: repaired, deadline: 20 s, mark: healed}",
        "never: {when: {event: healed}, after: 25 s, deadline: 26 s, mark: x}",
        more=more,
        holds={"healed": 6_000_000},
    )
    assert run.rules == ["at", "before", "dark", "healed", "never"]


TIMELINE = (
    "storm: {between: [2 s, 9 s], blackhole: {link: oslo-hamar}, for: 2 s}",
    "second: {between: [storm, storm + 9 s], flap: {link: kristiansand-stavanger, down: 100 ms, up: 100 ms, times: 2}}",
    "beat: {at: storm + 1 s, every: 700 ms, times: 5, mark: beat}",
    "third: {between: [3 s, 20 s], partition: {region: nord}}",
    "react: {when: {event: third}, after: second, deadline: end, mark: react}",
)


@pytest.mark.parametrize("seed", ["1", "2006", "77"])
def test_the_same_seed_gives_the_same_order_and_times(seed: str) -> None:
    one, two = (follow(*TIMELINE, network__seed=seed) for _ in range(2))
    assert one.begun == two.begun and one.history == two.history and one.times == two.times
    assert len(one.begun) > 8


def test_an_error_of_one_undo_leaves_the_others_to_be_undone() -> None:
    run = follow("a: {at: 2 s, pause: {router: hamar}}", "b: {at: 3 s, partition: {region: nord}}")

    def broken() -> None:
        raise OSError("the link engine has ended")

    run.undo.push("c", broken, keep=False)  # type: ignore[arg-type]
    run.undo.end_all()
    assert [name for name, _ in run.undone] == ["b", "a"]
    failed = [each for each in run.history if each["event"] == "undo-failed"]
    assert failed == [{"event": "undo-failed", "of": "c", "reason": "the link engine has ended"}]
