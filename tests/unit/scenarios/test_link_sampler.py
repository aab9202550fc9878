"""Counters of links by 100 ms: what is counted in an interval, and the sampler's thread."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from waiting import wait_for

from helsewan.emulation.links.counters import CLASS_DTYPE, ENGINE_DTYPE, PIPE_DTYPE, Counters, counters_bytes
from helsewan.scenarios.results.files import links_file
from helsewan.scenarios.results.files.links_file import LINKS, NUMBERS
from helsewan.scenarios.run.link_sampler import CounterReader, LinkSampler

PIPES = {0: ("a-b", "forward", "a", "b"), 1: ("a-b", "back", "b", "a")}


class SharedCounters:
    """What a sampler reads of a link engine, with counters of our own."""

    def __init__(self) -> None:
        self.memory = bytearray(counters_bytes(0, 4))
        self._views = Counters(self.memory, 0, 4)
        engine = np.frombuffer(self.memory, ENGINE_DTYPE, count=1)
        engine["pipes"], engine["classes"] = 2, 2
        self.pipes = np.frombuffer(self.memory, PIPE_DTYPE, count=4, offset=ENGINE_DTYPE.itemsize)
        classes_at = ENGINE_DTYPE.itemsize + 4 * PIPE_DTYPE.itemsize
        self.classes = np.frombuffer(self.memory, CLASS_DTYPE, count=2, offset=classes_at)
        self.pipes["class_record"][1, [0, 5]] = 1, 2  # both classes are of pipe 1

    def counters(self) -> np.ndarray:
        return self._views.pipes

    def class_counters(self) -> np.ndarray:
        return self._views.classes


@pytest.fixture
def engine() -> SharedCounters:
    return SharedCounters()


def test_counters_of_a_pipe_and_of_its_classes_are_read(engine: SharedCounters) -> None:
    engine.pipes["frames_in"][:2] = 10, 7
    engine.pipes["drop_loss"][0] = 2
    engine.pipes["queued_bytes"][1] = 300
    engine.classes["drop_tail"] = 3, 4
    engine.classes["drop_red"] = 0, 1
    read = CounterReader(engine).read()
    assert read.shape == (2, len(NUMBERS))
    assert {name: value for name, value in zip(NUMBERS, read[0].tolist(), strict=True) if value} == {
        "frames_in": 10,
        "drop_loss": 2,
    }
    assert {name: value for name, value in zip(NUMBERS, read[1].tolist(), strict=True) if value} == {
        "frames_in": 7,
        "drop_tail": 7,
        "drop_red": 1,
        "queued_bytes": 300,
    }


def test_every_cause_of_a_drop_is_in_the_file() -> None:
    """What the engine counts as dropped, in a pipe or in its classes, is a column."""
    drops = {name for dtype in (PIPE_DTYPE, CLASS_DTYPE) for name in dtype.names if name.startswith("drop_")}
    assert drops == {name for name in NUMBERS if name.startswith("drop_")}


def test_what_is_counted_in_an_interval_is_a_row(engine: SharedCounters, tmp_path: Path) -> None:
    engine.pipes["frames_in"][0] = 1_000  # before the run
    sampler = LinkSampler(tmp_path, engine, PIPES)
    epoch_ns = time.time_ns() + 20_000_000
    sampler.start(epoch_ns)
    wait_for(lambda: sampler.samples > 0, "a sample")
    engine.pipes["frames_in"][0] += 5
    seen = sampler.samples
    wait_for(lambda: sampler.samples > seen + 1, "two more samples")
    engine.pipes["queued_frames"][1] = 2
    wait_for(lambda: sampler.samples > seen + 3, "two more samples")
    sampler.stop()
    rows = pq.read_table(tmp_path / LINKS).to_pylist()
    counted = [row for row in rows if row["direction"] == "forward"]
    assert [(row["link"], row["from"], row["to"], row["frames_in"]) for row in counted] == [("a-b", "a", "b", 5)]
    waiting = [row for row in rows if row["direction"] == "back"]
    assert waiting and {row["queued_frames"] for row in waiting} == {2}, "a gauge is no difference"
    assert all(row["start_us"] >= 0 and row["length_us"] > 0 for row in rows)
    assert sampler.figures()["samples"] >= 5 and sampler.figures()["rows"] == len(rows)
    sampler.close()


def test_intervals_join_without_a_gap(engine: SharedCounters, tmp_path: Path) -> None:
    engine.pipes["queued_frames"][0] = 1  # so that every interval has a row
    sampler = LinkSampler(tmp_path, engine, PIPES)
    sampler.start(time.time_ns())
    wait_for(lambda: sampler.samples >= 4, "four samples")
    sampler.stop()
    rows = pq.read_table(tmp_path / LINKS).to_pylist()
    for row, following in pairwise(rows):
        assert abs(row["start_us"] + row["length_us"] - following["start_us"]) <= 1  # each is rounded


def test_a_run_that_fails_keeps_what_was_sampled(engine: SharedCounters, tmp_path: Path) -> None:
    engine.pipes["queued_frames"][0] = 1
    sampler = LinkSampler(tmp_path, engine, PIPES)
    sampler.start(time.time_ns())
    wait_for(lambda: sampler.samples > 0, "a sample")
    sampler.close()
    sampler.close()
    assert pq.read_metadata(tmp_path / LINKS).num_rows > 0


def test_an_error_of_the_file_is_raised_once(
    engine: SharedCounters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    engine.pipes["queued_frames"][0] = 1
    monkeypatch.setattr(links_file.LinksFile, "write", full)
    sampler = LinkSampler(tmp_path, engine, PIPES)
    sampler.start(time.time_ns())
    wait_for(lambda: sampler.samples > 0, "a sample")
    with pytest.raises(OSError, match="No space left"):
        sampler.stop()
    sampler.close()
