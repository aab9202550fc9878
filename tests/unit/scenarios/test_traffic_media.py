"""Speech, video and RTCP schedules: what ITU-T P.59, RFC 3550 and the scenario's own figures say of them."""

from __future__ import annotations

from math import e, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.flows.records import Array
from helsewan.lab.flows.schedule import Schedule
from helsewan.scenarios.spec.traffic.schema import VideoSpec
from helsewan.scenarios.traffic.schedules.rtcp import report_interval_s, report_schedule
from helsewan.scenarios.traffic.schedules.speech import pause_offset_ns, speech_schedule
from helsewan.scenarios.traffic.schedules.video import coded_order, video_schedule

MS = 1_000_000
SECOND = 1_000 * MS
SLOT = 20 * MS


def test_speech_is_active_as_p59_says() -> None:
    """38.5 % of the time in spurts of 1.004 s on average; each spurt's first datagram is marked."""
    schedule = speech_schedule(SLOT, 4_000 * SECOND, np.random.default_rng(1))
    table = schedule.table
    spurts = int(table["marker"].sum())
    assert len(table) * SLOT / schedule.period_ns == pytest.approx(0.3853, abs=0.02)
    assert len(table) * 0.02 / spurts == pytest.approx(1.004, abs=4 * 1.0 / sqrt(spurts))
    gaps = np.diff(table["due_ns"])
    assert ((gaps > SLOT) == (table["marker"][1:] == 1)).all()
    assert (table["due_ns"] % SLOT == 0).all() and table["marker"][0] == 1
    assert table["due_ns"][-1] < schedule.period_ns - SLOT, "it ends with a pause"


def test_a_call_begins_with_a_talk_spurt_wherever_it_begins() -> None:
    rng = np.random.default_rng(2)
    schedule = speech_schedule(SLOT, 40 * SECOND, rng)
    for _ in range(200):
        first = int(schedule.due_before(pause_offset_ns(schedule, rng))) % len(schedule.table)
        assert schedule.table["marker"][first] == 1


# --- video ------------------------------------------------------------------------------------------


def video(**changes: Any) -> VideoSpec:
    sites = {"service": "video", "count": 1, "between": {"kind": ["hospital"]}}
    return VideoSpec.model_validate({"kind": "video", "rate": "1.1 Mbit/s", **sites, **changes})


def made(spec: VideoSpec, seed: int = 1) -> Schedule:
    return video_schedule(spec, 40 * SECOND, np.random.default_rng(seed))


def frames(schedule: Schedule) -> list[Array]:
    """The table cut behind each marked datagram."""
    return np.split(schedule.table, np.flatnonzero(schedule.table["marker"]) + 1)[:-1]


@pytest.mark.parametrize("rate", ["384 kbit/s", "768 kbit/s", "1.1 Mbit/s", "20 Mbit/s"])
def test_video_takes_its_rate(rate: str) -> None:
    spec = video(rate=rate)
    schedule = made(spec)
    assert schedule.table["bytes"].sum() * 8e9 / schedule.period_ns == pytest.approx(spec.rate, rel=1e-3)
    assert schedule.table["bytes"].max() <= 1_200


def test_frames_have_the_sizes_of_their_types() -> None:
    """Ten P frames for an I, two B for a P; sizes of one type vary by a third, and no more."""
    schedule = made(video(frames={"gop": "IBBPBBPBB", "i": 10, "b": 0.5, "variation": "30 %"}, rate="10 Mbit/s"))
    sizes = np.array([frame["bytes"].sum(dtype=np.int64) for frame in frames(schedule)])
    kinds = np.array(list("IBBPBBPBB" * (len(sizes) // 9)))
    order, _ = coded_order(kinds)
    kinds = kinds[order]
    mean = {kind: sizes[kinds == kind].mean() for kind in "IPB"}
    spread = {kind: sizes[kinds == kind].std() / mean[kind] for kind in "IPB"}
    assert mean["I"] / mean["P"] == pytest.approx(10, rel=0.1)
    assert mean["B"] / mean["P"] == pytest.approx(0.5, rel=0.1)
    assert all(share == pytest.approx(0.3, abs=0.06) for share in spread.values())


def test_frames_that_do_not_vary_are_all_alike() -> None:
    sizes = {int(frame["bytes"].sum()) for frame in frames(made(video(frames={"gop": "I", "variation": "0 %"})))}
    assert max(sizes) - min(sizes) <= 1


def test_a_frame_is_paced_or_sent_at_once_and_has_one_time_stamp() -> None:
    paced, burst = made(video()), made(video(sending="burst"))
    assert np.array_equal(paced.table["bytes"], burst.table["bytes"])
    for schedule in (paced, burst):
        for frame in frames(schedule):
            captured = frame["due_ns"] - frame["age_ns"]
            assert len(set(captured.tolist())) == 1
            assert (frame["marker"] == np.append(np.zeros(len(frame) - 1), 1)).all()
    largest = max(frames(paced), key=len)
    assert len(largest) > 4
    assert set(np.diff(largest["due_ns"]) // 1000) <= {40_000 // len(largest), 40_000 // len(largest) + 1}
    assert all(len(set(frame["due_ns"].tolist())) == 1 for frame in frames(burst))
    stamps = [frame["due_ns"][0] - frame["age_ns"][0] for frame in frames(paced)]
    assert set(np.diff(stamps)) == {40 * MS}


def test_b_frames_are_sent_behind_the_frames_they_need() -> None:
    order, places = coded_order(np.array(list("IBBPB")))
    assert order.tolist() == [0, 4, 3, 1, 2]
    assert places.tolist() == [0, -1, 3, 1, 2]
    first = frames(made(video(frames={"gop": "IBBP"})))[:8]
    stamps = [int(frame["due_ns"][0] - frame["age_ns"][0]) // (40 * MS) for frame in first]
    assert stamps == [stamps[0] + place for place in (0, 3, 1, 2, 4, 7, 5, 6)]


@given(st.from_regex("I[PB]{0,12}", fullmatch=True))
def test_every_frame_is_sent_once_and_never_before_it_is_captured(gop: str) -> None:
    order, _ = coded_order(np.array(list(gop * 3)))
    assert sorted(order.tolist()) == list(range(len(gop) * 3))
    schedule = video_schedule(video(frames={"gop": gop}), SECOND, np.random.default_rng(0))
    assert schedule.table["age_ns"].max() < 1 << 31, "and soon after it"


# --- RTCP -------------------------------------------------------------------------------------------


def test_report_intervals_are_those_of_rfc_3550() -> None:
    """6.2: five seconds, half of it at first; more where five percent of the bandwidth allows less."""
    assert report_interval_s(2 * 80_000, 4) == 5.0
    assert report_interval_s(2 * 80_000, 4, first=True) == 2.5
    assert report_interval_s(8_000, 4) == pytest.approx(2 * (112 + 28) / (0.05 * 8_000 / 8))
    assert report_interval_s(8_000, 6) > report_interval_s(8_000, 4)


def test_reports_are_spread_by_the_random_factor() -> None:
    """6.3.1: Td times 0.5 to 1.5, over e - 3/2."""
    schedule = report_schedule(160_000, 4, 10_000 * 1_000_000, np.random.default_rng(1))
    gaps_s = np.diff(schedule.table["due_ns"]) / 1e9
    least, most = 5 * 0.5 / (e - 1.5), 5 * 1.5 / (e - 1.5)
    assert (gaps_s > least).all() and (gaps_s < most).all()
    assert gaps_s.mean() == pytest.approx(5 / (e - 1.5), abs=4 * (most - least) / sqrt(12 * len(gaps_s)))
    firsts = [
        report_schedule(160_000, 4, 60_000_000, np.random.default_rng(seed)).table["due_ns"][0] / 1e9
        for seed in range(200)
    ]
    assert min(firsts) > least / 2 and max(firsts) < most / 2


def test_a_call_too_short_for_a_report_has_none() -> None:
    assert len(report_schedule(160_000, 4, 500_000, np.random.default_rng(1)).table) == 0
