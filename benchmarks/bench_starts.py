"""Starts of a small network in a row: whether every port carries frames each time."""

from __future__ import annotations

import tempfile

import numpy as np

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox

STARTS = 200
LIMIT_S = 60.0


def run() -> list[Figure]:
    """Start the network again and again, each time in a sandbox of its own; a start that fails or hangs is counted."""
    seconds, failed = [], 0
    for _ in range(STARTS):
        try:
            with tempfile.TemporaryDirectory() as logs:
                found = in_sandbox("starts", logs, routers="shared", limit_s=LIMIT_S)
        except RuntimeError as error:
            print(error)
            failed += 1
        else:
            if found["dead"]:
                print(f"dead: {', '.join(found['dead'])}")
                failed += 1
            seconds.append(found["seconds"])
    slowest = float(np.max(seconds)) if seconds else float("nan")
    median = float(np.median(seconds)) if seconds else float("nan")
    return [
        Figure(f"{STARTS} starts in a row: not up, or with a port that carries nothing", failed, "", "<= 0"),
        Figure("  until the network is up and programmed, median", median, "s"),
        Figure("  slowest", slowest, "s"),
    ]
