"""Figures of a 10-minute run at 20,000 datagrams/s, from records made for it: 4,000 flows, 5 phases."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import Figure

SECONDS, RATE, FLOWS = 600, 20_000, 4_000


def run() -> list[Figure]:
    """Measure in a process of its own, whose memory nothing else has grown."""
    argv = [sys.executable, "-m", "benchmarks.figures.measured", *map(str, (SECONDS, RATE, FLOWS))]
    found = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return [
        Figure(f"{found['records']:,} records of {FLOWS:,} flows", found["records"], ""),
        Figure("  figures per flow and phase", found["measure_s"], "s", "< 10"),
        Figure("  and together: classes, services, entries, sites", found["pool_s"], "s"),
        Figure("  both", found["measure_s"] + found["pool_s"], "s", "< 10"),
        Figure("  series at 100 ms of classes and entries", found["series_s"], "s"),
        Figure("  memory of that beyond the records, at most", found["judging_mb"], "MB"),
        Figure("  samples.parquet written", found["samples_s"], "s"),
        Figure("  its size", found["samples_mb"], "MB"),
        Figure("  memory of that beyond what was held, at most", found["samples_memory_mb"], "MB"),
    ]
