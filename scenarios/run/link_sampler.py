"""Samples the link engine's counters while a run goes on, and writes ``links.parquet``."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from helsewan.common.run_clock import RunClock
from helsewan.emulation.links.counters import CLASS_DTYPE, PIPE_DTYPE
from helsewan.emulation.links.engine import EngineProcess
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.files.links_file import COUNTED, COUNTED_BY_CLASS, GAUGES, NUMBERS, LinksFile

INTERVAL_NS = 100_000_000
ROWS = 500_000  # of a row group: 80 MB while they wait

Pipes = Mapping[int, tuple[str, str, str, str]]
"""By number of a pipe: its link's id, the direction, the nodes at its begin and end."""


class LinkSampler:
    """An engine of a run (`run.engine`): reads all counters from the memory that it shares with the link engine every
    100 ms of the run, in a thread of its own, without a system call for any link.

    A file that cannot be written ends the run with its OSError."""

    def __init__(self, directory: Path, engine: EngineProcess, pipes: Pipes) -> None:
        self._reader = CounterReader(engine)
        self._file = LinksFile(directory, pipes)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._parts: list[tuple[Array, Array, Array, Array]] = []
        self._rows = 0
        self.samples = 0
        self.late_max_us = 0.0  # a sample after its time
        self.cpu_s = 0.0

    def start(self, epoch_ns: int) -> None:
        """Sample from ``epoch_ns`` (CLOCK_REALTIME) on."""
        self._thread = threading.Thread(target=self._run, args=(epoch_ns,), name="link-sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and complete the file. Raises the OSError that ended it before."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error
        self._file.close()

    def close(self) -> None:
        """The same, also after an error: what was sampled until then is in the file."""
        try:
            self.stop()
        except OSError:  # told by `stop` to who waits for the records
            self._error = None

    def figures(self) -> dict[str, float]:
        """What sampling took, and whether it kept its times."""
        return {
            "rows": self._file.rows,
            "samples": self.samples,
            "late_max_us": round(self.late_max_us, 1),
            "cpu_us_per_sample": round(self.cpu_s / max(self.samples, 1) * 1e6, 1),
        }

    def _run(self, epoch_ns: int) -> None:
        try:
            self._follow(epoch_ns)
            self._flush()
        except OSError as error:
            self._error = error
        self.cpu_s = time.thread_time()

    def _follow(self, epoch_ns: int) -> None:
        clock = RunClock()
        self._ended.wait((epoch_ns - clock.now_ns()) / 1e9)
        before, before_ns = self._reader.read(), clock.now_ns()
        due_ns = epoch_ns
        while not self._ended.is_set():
            due_ns += max((clock.now_ns() - due_ns) // INTERVAL_NS, 0) * INTERVAL_NS + INTERVAL_NS
            self._ended.wait((due_ns - clock.now_ns()) / 1e9)
            now, now_ns = self._reader.read(), clock.now_ns()
            if now_ns >= due_ns:
                self.late_max_us = max(self.late_max_us, (now_ns - due_ns) / 1000)
            self._take(before, now, (before_ns - epoch_ns) // 1000, (now_ns - before_ns) // 1000)
            before, before_ns = now, now_ns

    def _take(self, before: Array, now: Array, start_us: int, length_us: int) -> None:
        numbers = now.copy()
        numbers[: len(before), :_COUNTERS] -= before[:, :_COUNTERS]
        pipe = np.flatnonzero(numbers.any(axis=1))
        self._parts.append((pipe, np.full(len(pipe), start_us), np.full(len(pipe), length_us), numbers[pipe]))
        self.samples += 1
        self._rows += len(pipe)
        if self._rows >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            self._file.write(*(np.concatenate(column) for column in zip(*self._parts, strict=True)))
        self._parts, self._rows = [], 0


_COUNTERS = len(COUNTED) + len(COUNTED_BY_CLASS)


def _words(dtype: np.dtype[np.void], names: Mapping[str, str]) -> list[int]:
    """The places of fields in a struct of 64-bit words."""
    assert dtype.fields is not None
    return [dtype.fields[name][1] // 8 for name in names]


class CounterReader:
    """Reads the counters of all pipes: a row for each pipe, a column for each of ``NUMBERS``."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._pipe_words = _words(PIPE_DTYPE, {**COUNTED, **GAUGES})
        self._class_words = _words(CLASS_DTYPE, COUNTED_BY_CLASS)
        self._record_word = _words(PIPE_DTYPE, {"class_record": ""})[0]

    def read(self) -> Array:
        """The counters now. Those of a pipe are of one moment to within a few frames."""
        pipes = self._engine.counters().view("<i8").reshape(-1, PIPE_DTYPE.itemsize // 8)
        numbers = np.empty((len(pipes), len(NUMBERS)), np.int64)
        own = list(range(len(COUNTED))) + list(range(_COUNTERS, len(NUMBERS)))
        numbers[:, own] = pipes[:, self._pipe_words]
        record = pipes[:, self._record_word : self._record_word + _QUEUES].copy()  # before the classes: each has one
        classes = self._engine.class_counters().view("<i8").reshape(-1, CLASS_DTYPE.itemsize // 8)
        drops = np.zeros((len(classes) + 1, len(COUNTED_BY_CLASS)), np.int64)  # record 0: no class
        drops[1:] = classes[:, self._class_words]
        record[record > len(classes)] = 0
        numbers[:, len(COUNTED) : _COUNTERS] = 0
        for queue in range(_QUEUES):  # in one step it takes twice as long
            numbers[:, len(COUNTED) : _COUNTERS] += drops.take(record[:, queue], axis=0)
        return numbers


_QUEUES = PIPE_DTYPE["class_record"].shape[0]
