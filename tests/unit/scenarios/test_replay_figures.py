"""Figures of replayed packets: counts, loss, reordering and delays by flow and phase; and the result."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest

from helsewan.lab.flows.records import Array
from helsewan.lab.flows.replay_plan import Extent, Host, Pace, ReplayFlow, ReplayMode, ReplayPlan, Told
from helsewan.lab.health.validity import Grade, assess
from helsewan.lab.replay.replay_counts import ReplayCounts
from helsewan.lab.replay.replay_engine import Replayed
from helsewan.lab.replay.replay_records import RECORD, RecordFile, read_records
from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.results.replay_figures import measure_replays
from helsewan.scenarios.results.replay_report import of_replay, replay_row

EPOCH_NS = 10**18
MS = 10**6
RUN, LATE = Window("run", 0, 1_000_000), Window("late", 500_000, 1_000_000)
HERE, THERE = Host("a", IPv4Address("10.0.1.3")), Host("b", IPv4Address("10.0.2.3"))
TOLD = Told(10, 10, 0, 0, (), {}, 0, 0, (), 0, 0, 0, 0, 0)


def flow(number: int, is_denied: bool = False) -> ReplayFlow:
    return ReplayFlow(number, f"r/{number}", "data", "ehr", "a", "b", HERE, THERE, 5, is_denied, ("r",))


PLAN = ReplayPlan(
    "r", (Path("r.pcap"),), ReplayMode.WIRE, Pace(), {}, {}, (flow(0), flow(1, True)), {}, {}, Extent(10, 0, 0, 0), TOLD
)


def records(*rows: tuple[int, float, float | None], duplicates: int = 0) -> Array:
    """Records from (flow, when sent, when received), in ms."""
    made = np.zeros(len(rows), RECORD)
    for place, (number, sent_ms, received_ms) in enumerate(rows):
        made[place]["flow"], made[place]["sent_ns"] = number, EPOCH_NS + sent_ms * MS
        made[place]["received_ns"] = EPOCH_NS + received_ms * MS if received_ms is not None else 0
        made[place]["duplicates"] = duplicates
    return made


def test_every_packet_counts_once_in_the_phase_it_was_sent_in() -> None:
    rows = records((0, 100, 103), (0, 200, None), (0, 600, 604), (0, 700, 701), (1, 300, None))
    measured = measure_replays([(PLAN, rows)], EPOCH_NS, [RUN, LATE])
    whole, late = (measured.figures[("r", 0), window.name] for window in (RUN, LATE))
    assert (whole.replay_sent, whole.replay_received, whole.replay_lost) == (4, 3, 1)
    assert whole.replay_loss == pytest.approx(0.25)
    assert (late.replay_sent, late.replay_lost) == (2, 0)
    assert whole.replay_delay_p50_us == pytest.approx(3000)
    assert late.replay_delay_max_us == pytest.approx(4000)
    denied = measured.figures[("r", 1), "run"]
    assert (denied.replay_sent, denied.replay_leaked, denied.replay_lost) == (1, 0, 1)
    together = measured.pool([("r", 0), ("r", 1)], "run")
    assert (together.replay_sent, together.replay_received) == (5, 3)


def test_a_packet_after_a_later_one_is_reordered() -> None:
    """RFC 4737, 3.3: 1, 4, 2, 3, 5 has two reordered packets; another flow's packets do not count."""
    rows = records((0, 1, 10), (0, 2, 13), (0, 3, 14), (0, 4, 12), (1, 4, 11), (0, 5, 15))
    figures = measure_replays([(PLAN, rows)], EPOCH_NS, [RUN]).figures
    assert figures[("r", 0), "run"].replay_reordered == 2
    assert figures[("r", 1), "run"].replay_reordered == 0
    assert figures[("r", 1), "run"].replay_leaked == 1


def test_a_flow_without_packets_has_counts_and_no_delays() -> None:
    figures = measure_replays([(PLAN, records())], EPOCH_NS, [RUN]).figures[("r", 0), "run"]
    assert figures.replay_sent == 0 and np.isnan(figures.replay_loss) and np.isnan(figures.replay_delay_p50_us)


def test_a_file_of_records_grows_and_keeps_what_is_received_late(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records")
    count = 300_000  # more than it begins with
    for number in range(count):
        file.append(number, number % 7, number, 0)
    file.received(5, 1000)
    file.received(5, 2000)
    file.received(count - 1, 3000)
    file.close()
    read = read_records(tmp_path / "records")
    assert len(read) == count
    assert read["number"].tolist() == list(range(count))
    assert (read[5]["received_ns"], read[5]["duplicates"], read[count - 1]["received_ns"]) == (1000, 1, 3000)
    assert int((read["received_ns"] > 0).sum()) == 2
    assert len(read_records(tmp_path / "none")) == 0


def test_the_result_has_what_was_told_and_how_it_went(tmp_path: Path) -> None:
    counts = ReplayCounts(ended=True)
    counts.count_late(45_000)
    replayed = Replayed(PLAN, counts.outcome(2), tmp_path / "records")
    measured = measure_replays([(PLAN, records((0, 1, 2), (0, 3, None)))], EPOCH_NS, [RUN])
    row = json.loads(json.dumps(replay_row(replayed, measured, [RUN])))
    assert row["name"] == "r" and row["mode"] == "wire" and row["outcome"]["late_p99_us"] == 60
    assert row["phases"]["run"]["replay_lost"] == 1
    assert [each["expect"] for each in row["flows"]] == ["delivered", "denied"]
    assert row["flows"][1]["phases"]["run"]["replay_loss"] is None


@pytest.mark.parametrize(
    ("changes", "grade"), [({}, Grade.VALID), ({"dropped": 1}, Grade.VOID), ({"not_sent": 1}, Grade.VOID)]
)
def test_a_machine_that_dropped_packets_makes_the_run_void(changes: dict[str, int], grade: Grade) -> None:
    assert assess(of_replay("r", ReplayCounts(**changes).outcome(1))).grade is grade
