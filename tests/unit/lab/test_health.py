"""Validity: the grade that given seconds and figures give a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helsewan.emulation.links.counters import Lateness, bin_limits_ns
from helsewan.emulation.routers.packet_sockets import meminfo, messages
from helsewan.emulation.sandbox.procfs import (
    Load,
    ThreadClock,
    backlog_drops,
    cgroup_directories,
    cpu_ticks,
    parse_transmit_drops,
    throttled_us,
)
from helsewan.lab.flows.sender_health import SenderHealth
from helsewan.lab.health.health import (
    LatenessSummary,
    Pressure,
    SchedulingDelay,
    Second,
    StallDetector,
    lateness_summary,
    pressure_between,
    process_scheduling_delay,
)
from helsewan.lab.health.validity import Grade, ValidityFinding, assess, of_links, of_machine, of_second, of_traffic

CALM = Pressure(stalled=0.2, busy=0.5, steal=0.0)
QUIET = Second(number=3, pressure=CALM, links=LatenessSummary(900, 80, 400), sends=LatenessSummary(100, 60, 200))
ON_TIME_TRAFFIC = SenderHealth(20, 40, 900, 0, 0, 0, 0, 0, 0, 0)
ON_TIME = Lateness(1000, 20.0, 80.0, 400.0, 0, 0, 100.0, ())


# --- grades and reasons --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "grade", "where", "what"),
    [
        ({}, Grade.VALID, None, None),
        ({"links": LatenessSummary(900, 2_100, 3_000)}, Grade.SUSPECT, "", "99 % of a second's frames late"),
        ({"late_links": {"oslo-1 > hamar": 19_900}}, Grade.VALID, None, None),
        ({"late_links": {"oslo-1 > hamar": 20_100}}, Grade.SUSPECT, "oslo-1 > hamar", "latest frame"),
        ({"late_links": {"oslo-1 > hamar": 40_100}}, Grade.VOID, "oslo-1 > hamar", "latest frame"),
        ({"unread_us": 41_000}, Grade.VOID, "", "did not check for frames"),
        ({"drops": {"bodo's packet sockets": 1}}, Grade.VOID, "bodo's packet sockets", "frames dropped by the machine"),
        ({"backlog_drops": 1}, Grade.SUSPECT, "", "before any interface"),
        ({"throttled_us": 500}, Grade.SUSPECT, "", "limit on processor time"),
        ({"throttled_us": 50_000}, Grade.VOID, "", "limit on processor time"),
        ({"pressure": replace(CALM, steal=0.06)}, Grade.SUSPECT, "", "taken by the host"),
        ({"sends": LatenessSummary(100, 21_000, 30_000)}, Grade.SUSPECT, "", "second's sends"),
        ({"threads": {"bodo": SchedulingDelay(30_000, longest_wait_us=19_000)}}, Grade.VALID, None, None),
        (
            {"threads": {"bodo": SchedulingDelay(30_000, longest_wait_us=21_000)}},
            Grade.SUSPECT,
            "bodo",
            "waited for a core",
        ),
        (
            {"threads": {"bodo": SchedulingDelay(90_000, longest_wait_us=41_000)}},
            Grade.VOID,
            "bodo",
            "waited for a core",
        ),
        ({"threads": {"bodo": SchedulingDelay(0, stalled_us=50_000)}}, Grade.VOID, "bodo", "did not run"),
        ({"threads": {"link engine": SchedulingDelay(0, busy=0.97)}}, Grade.SUSPECT, "link engine", "on a core"),
        ({"processes": {"controller": SchedulingDelay(950_000)}}, Grade.SUSPECT, "controller", "waited for a core"),
        ({"processes": {"the run": SchedulingDelay(600_000)}}, Grade.SUSPECT, "the run", "waited for a core"),
        ({"threads": {"routers": SchedulingDelay(90_000, stalled_us=50_000)}}, Grade.VOID, "routers", "did not run"),
    ],
)
def test_the_grade_that_a_second_gives_a_run(
    changes: dict[str, object], grade: Grade, where: str | None, what: str | None
) -> None:
    found = assess(of_second(replace(QUIET, **changes)))  # type: ignore[arg-type]
    assert found.grade is grade
    if what is None:
        assert found.reasons == ()
    else:
        (reason,) = found.reasons
        assert (reason.where, reason.seconds, reason.grade) == (where, (3,), grade)
        assert what in reason.what


def test_a_quiet_run_is_valid_and_shows_how_each_demand_was_kept() -> None:
    findings = [*of_traffic(ON_TIME_TRAFFIC), *of_links(ON_TIME), *of_machine(CALM, {}), *of_second(QUIET)]
    found = assess(findings)
    assert (found.grade, found.reasons) == (Grade.VALID, ())
    assert {kept.demand for kept in found.kept} == {finding.demand for finding in findings}
    assert all(kept.holds for kept in found.kept)
    assert {demand.unit for demand in (kept.demand for kept in found.kept)} == {"ms", "share", "count"}


@pytest.mark.parametrize(
    "changes",
    [
        {"lateness_p99_us": 20_100},
        {"worst_late_us": 250_100},
        {"unrecorded": 1},
        {"dropped": 1},
        {"not_sent": 1},
        {"untimed": 1},
        {"clock_step_us": -1_500},
        {"unfinished": 1},
        {"mute": 1},
    ],
)
def test_traffic_that_was_not_as_planned_makes_a_run_void(changes: dict[str, float]) -> None:
    found = assess(of_traffic(replace(ON_TIME_TRAFFIC, **changes)))  # type: ignore[arg-type]
    assert found.grade is Grade.VOID
    assert len(found.reasons) == 1


@pytest.mark.parametrize(
    ("pressure", "grade"),
    [
        (replace(CALM, steal=0.02), Grade.SUSPECT),
        (replace(CALM, steal=0.06), Grade.VOID),
        (replace(CALM, stalled=0.95), Grade.SUSPECT),  # whichever task it was that waited
        (replace(CALM, stalled=None), Grade.VALID),
    ],
)
def test_the_machine_over_the_whole_run(pressure: Pressure, grade: Grade) -> None:
    assert assess(of_machine(pressure, {})).grade is grade


def test_reasons_are_gathered_by_place_with_their_seconds_and_the_worst_comes_first() -> None:
    bad = {
        "hamar": SchedulingDelay(25_000, longest_wait_us=25_000),
        "bodo": SchedulingDelay(25_000, longest_wait_us=25_000),
    }
    worse = {"bodo": SchedulingDelay(60_000, longest_wait_us=60_000)}
    seconds = [replace(QUIET, number=7, threads=bad), replace(QUIET, number=9, threads=worse)]
    first, second = assess(finding for each in seconds for finding in of_second(each)).reasons
    assert (first.where, first.grade, first.seconds, first.value, first.limit) == ("bodo", Grade.VOID, (7, 9), 60, 40)
    assert (second.where, second.grade, second.seconds, second.limit) == ("hamar", Grade.SUSPECT, (7,), 20)
    assert str(first) == "bodo: waited for a core within a twentieth of a second: 60 ms, allowed 40 (second 7, 9)"


def test_drops_of_seconds_and_of_the_whole_run_are_one_reason() -> None:
    drops = {"bodo's trunk": 3}
    findings = [*of_machine(CALM, drops), *of_second(replace(QUIET, drops={"bodo's trunk": 2}))]
    (reason,) = assess(findings).reasons
    assert (reason.where, reason.value, reason.seconds) == ("bodo's trunk", 3, (3,))


def test_nothing_found_is_valid() -> None:
    assert assess(list[ValidityFinding]()).grade is Grade.VALID


# --- scheduling delay of a thread ----------------------------------------------------------------


def delay_of(samples: list[tuple[float, float, bool]]) -> SchedulingDelay:
    """The delay after samples 50 ms apart: (ms run since the last, ms waited since the last, frames waiting)."""
    detector, ran_ns, waited_ns = StallDetector(0, 0), 0, 0
    for ran_ms, waited_ms, frames in samples:
        ran_ns, waited_ns = ran_ns + int(ran_ms * 1e6), waited_ns + int(waited_ms * 1e6)
        if detector.sample(ran_ns, waited_ns, 50_000):
            detector.frames(frames, 50_000)
    return detector.take()


@pytest.mark.parametrize(
    ("samples", "stalled_ms"),
    [
        ([(1, 0, False), (1, 0, True)], 0),  # it runs: what waits will be served
        ([(0, 0, False), (0, 0, False)], 0),  # no frame waits for it
        ([(1, 0, False), (0, 0, True), (1, 0, False)], 0),  # the frame may have arrived just before the sample
        ([(1, 0, False), (0, 0, True), (0, 0, True), (1, 0, False)], 50),
        ([(0, 0, True), (0, 0, True), (0, 0, True), (0, 0, True), (1, 0, True)], 150),  # stopped for 200 ms or more
        ([(0, 0, True), (0, 0, False), (0, 0, True), (0, 0, False)], 0),  # other frames each time, and not for long
        ([(0, 0, True), (0, 0, True), (1, 0, False), (0, 0, True), (0, 0, True), (0, 0, True)], 100),  # the longest
    ],
)
def test_a_stall_is_frames_that_waited_while_nothing_ran(
    samples: list[tuple[float, float, bool]], stalled_ms: float
) -> None:
    assert delay_of(samples).stalled_us == stalled_ms * 1000


def test_waits_and_run_times_are_summed_and_reset_when_taken() -> None:
    delay = delay_of([(10, 5, False), (20, 30, False)])
    assert (delay.waited_us, delay.longest_wait_us, delay.busy) == (35_000, 30_000, pytest.approx(0.3))
    detector = StallDetector(0, 0)
    detector.sample(1_000, 2_000, 50_000)
    detector.take()
    assert detector.take() == SchedulingDelay(0, 0, 0, 0)


def test_a_process_is_delayed_as_its_most_delayed_thread() -> None:
    before = {1: ThreadClock(1_000_000, 5_000_000), 2: ThreadClock(), 4: ThreadClock(9_000_000, 9_000_000)}
    after = {
        1: ThreadClock(2_000_000, 6_000_000),
        2: ThreadClock(3_000_000, 7_000_000),
        3: ThreadClock(500_000, 250_000),
    }
    assert process_scheduling_delay(before, after, 9_000) == SchedulingDelay(7_000, busy=pytest.approx(0.5))
    assert process_scheduling_delay({}, {}, 1) == SchedulingDelay(0)


def test_a_sleep_that_the_kernel_counted_as_a_wait_is_left_out() -> None:
    """5 s of it within one second: only a thread that was already waiting a second ago can have waited so long."""
    after = {1: ThreadClock(1_000, 5_000_000_000, runnable=False)}
    for runnable, waited_us in ((False, 0.0), (True, 5_000_000.0)):
        assert process_scheduling_delay({1: ThreadClock(0, 0, runnable)}, after, 1_000_000).waited_us == waited_us
    assert process_scheduling_delay({1: ThreadClock(0, 4_500_000_000, False)}, after, 1_000_000).waited_us == 500_000.0


def test_the_history_leaves_out_threads_that_hardly_waited() -> None:
    threads = {
        "bodo": SchedulingDelay(30_000, 9_000),
        "hamar": SchedulingDelay(30_000, 12_000),
        "alta": SchedulingDelay(0, stalled_us=50_000),
    }
    kept = replace(QUIET, threads=threads).compact()
    assert kept["waited_longest_stalled_us"] == {"hamar": [30_000, 12_000, 0], "alta": [0, 0, 50_000]}
    assert kept["second"] == 3 and "drops" not in kept and "throttled_us" not in kept


# --- what the kernel reports ---------------------------------------------------------------------


def test_pressure_between_two_readings() -> None:
    before = Load(at_us=0, stalled_us=100, ticks=1_000, idle_ticks=400, steal_ticks=10, throttled_us=0, backlog_drops=0)
    after = replace(before, at_us=1_000_000, stalled_us=250_100, ticks=1_200, idle_ticks=450, steal_ticks=20)
    found = pressure_between(before, after)
    assert (found.stalled, found.busy, found.steal) == (0.25, 0.75, 0.05)
    assert pressure_between(before, replace(after, stalled_us=None)).stalled is None


def test_percentiles_of_a_histogram() -> None:
    limits = bin_limits_ns()
    histogram = np.zeros(len(limits), np.int64)
    histogram[40], histogram[60] = 99, 1
    found = lateness_summary(histogram)
    assert (found.count, found.p99_us, found.max_us) == (100, limits[40] / 1000, limits[60] / 1000)
    assert lateness_summary(np.zeros(4, np.int64), np.arange(4)) == LatenessSummary()


def test_the_kernels_files_are_read_as_they_are_written() -> None:
    assert cpu_ticks("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n")[7] == 8
    assert throttled_us("usage_usec 5\nnr_throttled 2\nthrottled_usec 700\n") == 700
    assert throttled_us("nr_periods 9\nnr_throttled 2\nthrottled_time 700000\n") == 700
    assert throttled_us("usage_usec 5\n") == 0
    assert backlog_drops("0000ffff 0000000a 00000000\n00000001 00000001 00000000\n") == 11
    columns = " ".join(map(str, range(16)))
    assert parse_transmit_drops(f"Inter-| x\n face | y\n  trunk: {columns}\n    lo:{columns}\n") == {
        "trunk": 11,
        "lo": 11,
    }


def test_every_control_group_above_is_asked() -> None:
    found = [str(path) for path in cgroup_directories("3:cpuset:/a\n2:cpu,cpuacct:/a/b\n0::/x\n")]
    assert [path for path in found if "unified" not in path] == [
        str(Path("/sys/fs/cgroup") / path) for path in ("cpu,cpuacct/a/b", "cpu,cpuacct/a", "cpu,cpuacct", "x", "")
    ]


def test_a_sockets_memory_is_found_among_its_attributes() -> None:
    words = tuple(range(10))
    attribute = (
        (44).to_bytes(2, "little") + (6).to_bytes(2, "little") + b"".join(w.to_bytes(4, "little") for w in words)
    )
    other = (8).to_bytes(2, "little") + (5).to_bytes(2, "little") + bytes(4)
    body = bytes(16) + other + attribute
    message = (16 + len(body)).to_bytes(4, "little") + (20).to_bytes(2, "little") + bytes(10) + body
    done = (16).to_bytes(4, "little") + (3).to_bytes(2, "little") + bytes(10)
    (kind, found), (last, _) = messages(message + done)
    assert (kind, last, meminfo(found)) == (20, 3, words)
    assert meminfo(bytes(16)) == (0,) * 9
