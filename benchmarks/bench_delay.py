"""How far one-way delays on the idle network are from the model, over 2 and 5 links between routers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from benchmarks import Figure
from emulation import world


def run() -> list[Figure]:
    """Measure in a world of its own; raises CalledProcessError where it cannot be made."""
    with tempfile.TemporaryDirectory() as logs:
        argv = world.command([sys.executable, "-m", "benchmarks.rig_delay", logs])
        found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    figures = []
    for length, (_, median_us, _, p99_us) in found["errors_us"].items():
        figures.append(Figure(f"one-way delay error, {length} hops, median", abs(median_us) / 1000, "ms", "< 0.5"))
        figures.append(Figure(f"one-way delay error, {length} hops, 99th percentile", abs(p99_us) / 1000, "ms"))
    return figures
