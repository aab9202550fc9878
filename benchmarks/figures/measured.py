"""``python -m benchmarks.figures.measured SECONDS RATE FLOWS``: prints one JSON object with what figures took."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures.synthetic import EPOCH_NS, flows_of, records_of, windows_of
from helsewan.lab.flows.flowspec import TrafficPlan, endpoints
from helsewan.scenarios.results.exchange_figures import measure_exchanges
from helsewan.scenarios.results.files.samples_file import SAMPLES, write_samples
from helsewan.scenarios.results.groups import grouped
from helsewan.scenarios.results.measure import measure
from helsewan.scenarios.results.series import series

MEMORY = Path("/proc/self/statm")
PAGE_MB = 4096 / 1e6
LOOK_S = 0.01


class Watch:
    """The time and the memory that the body of a with-statement takes; memory is looked at every 10 ms."""

    def __enter__(self) -> Watch:
        gc.collect()
        self._before_mb = self._peak_mb = resident_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        self._began_s = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began_s
        self._ended.set()
        self._thread.join()
        self.memory_mb = self._peak_mb - self._before_mb

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._peak_mb = max(self._peak_mb, resident_mb())


def resident_mb() -> float:
    """This process's resident memory."""
    return int(MEMORY.read_text().split()[1]) * PAGE_MB


def main(seconds: int, rate: int, count: int) -> dict[str, Any]:
    """What the figures of a run of ``seconds`` with ``rate`` datagrams a second of ``count`` flows take."""
    flows = flows_of(seconds, rate, count)
    ends = endpoints(flows)
    ids = {end: number for number, end in enumerate(ends)}
    records = records_of(flows, seconds, np.array([ids[flow.destination] for flow in flows]))
    due = np.array([flow.due_before(flow.stop_us) for flow in flows])
    windows = windows_of(seconds)
    phases = [window.name for window in windows]
    with Watch() as whole:
        with Watch() as single:
            found = measure(records, flows, ends, windows, due)
        with Watch() as together:
            exchanges = measure_exchanges([], [], windows)
            grouped(TrafficPlan(tuple(flows), ()), found, exchanges, phases)
    with Watch() as binned:
        for group_of in (lambda flow: flow.class_name, lambda flow: flow.entry):
            series(found.samples, {flow.id: group_of(flow) for flow in flows}, seconds * 1_000_000)
    with tempfile.TemporaryDirectory() as directory:
        with Watch() as samples:
            write_samples(Path(directory), records, flows, ends, due, EPOCH_NS)
        samples_mb = (Path(directory) / SAMPLES).stat().st_size / 1e6
    return {
        "records": len(records),
        "measure_s": single.seconds,
        "pool_s": together.seconds,
        "judging_mb": whole.memory_mb,
        "series_s": binned.seconds,
        "samples_s": samples.seconds,
        "samples_mb": samples_mb,
        "samples_memory_mb": samples.memory_mb,
    }


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
