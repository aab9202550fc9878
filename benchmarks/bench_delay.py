"""Error of one-way delays against the model, over 1, 3 and 5 links between routers, idle and under load."""

from __future__ import annotations

import tempfile

from benchmarks import Figure, beside
from benchmarks.sandboxed.launch import KINDS, in_sandbox


def run() -> list[Figure]:
    """Measure in a sandbox for each kind of routers; raises RuntimeError if one cannot be created."""
    return beside(*map(figures, KINDS))


def figures(kind: str) -> list[Figure]:
    """The figures with one kind of routers."""
    with tempfile.TemporaryDirectory() as logs:
        found = in_sandbox("delay", logs, routers=kind)
    figures = []
    for row in found["rows"]:
        name = f"one-way delay error, {row['length']} hops, {row['load']:.0%} load"
        figures.append(Figure(f"{name}, median", row["error_p50_us"] / 1000, "ms", "< 0.1"))
        figures.append(Figure(f"{name}, 99th percentile", row["error_p99_us"] / 1000, "ms", "< 0.5"))
        figures.append(Figure("  late at a link's end, median", row["late_p50_us"] / 1000, "ms"))
    return figures
