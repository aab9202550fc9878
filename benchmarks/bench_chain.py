"""Rate that five routers in a chain, joined by links of the engine, carry before the machine drops frames: with source
and sink at rings of the engine, and at TAPs of two sites."""

from __future__ import annotations

import tempfile
from typing import NamedTuple

from benchmarks import Figure, beside
from benchmarks.sandboxed.launch import KINDS, in_sandbox

# Mbit/s of 1,500-byte packets, by kind of routers and what is at the ends.
RATES_MBIT_S = {
    ("shared", "rings"): (1200, 1800, 2400, 3000, 3600, 4200),
    ("private", "rings"): (200, 300, 400, 500, 600),
    ("shared", "taps"): (400, 600, 800, 1000, 1200),
    ("private", "taps"): (200, 300, 400, 500, 600),
}
SECONDS = 3
TIMES = 5  # as fast as private routers
TOLERABLE = 0.0001  # of the frames, dropped by the machine
SENT = 0.99  # of the intended frames; below it the rate was not offered
FRAME_BITS = 8 * 1500
ROUTERS = 5
LIMIT_S = 120


class Carried(NamedTuple):
    """The highest rate at which and below which all rates were carried (0: not even the lowest), and at that rate, or
    else at the lowest, the share of frames that the machine dropped, and processor times in us per frame."""

    mbit_s: int
    dropped: float
    router_us: float
    engine_us: float
    ends_us: float


def run() -> list[Figure]:
    """Measure in sandboxes; raises RuntimeError if one cannot be created."""
    found = {(ends, kind): measured(kind, ends) for ends in ("rings", "taps") for kind in KINDS}
    rings = beside(*(figures(found["rings", kind], "rings", ">= 200") for kind in KINDS))
    taps = beside(*(figures(found["taps", kind], "TAPs") for kind in KINDS))
    best = max(found[ends, "private"].mbit_s for ends in ("rings", "taps"))
    times = found["rings", "shared"].mbit_s / best if best else float("inf")
    return [*rings, *taps, Figure("  times the rate of private routers, whichever ends", times, "", f">= {TIMES}")]


def measured(kind: str, ends: str) -> Carried:
    """What routers of a kind carry between two ends."""
    rates = [str(rate) for rate in RATES_MBIT_S[kind, ends]]
    with tempfile.TemporaryDirectory() as logs:
        rows = in_sandbox("chain", logs, ends, str(SECONDS), *rates, routers=kind, limit_s=LIMIT_S)
    best = -1
    for place, row in enumerate(rows):
        if row["sent"] < SENT * row["asked"] or row["by_machine"] >= TOLERABLE * row["sent"]:
            break
        best = place
    row = rows[max(best, 0)]
    cpu_us = {name: spent / row["sent"] for name, spent in row["cpu_us"].items()}
    shares = cpu_us["routers"] / ROUTERS, cpu_us["engine"], cpu_us["ends"]
    return Carried(int(row["mbit_s"]) if best >= 0 else 0, row["by_machine"] / row["sent"], *shares)


def figures(found: Carried, ends: str, target: str = "") -> list[Figure]:
    """The figures of one kind of routers between such ends; ``target`` in thousands of frames a second."""
    return [
        Figure(f"five routers in a chain, 1500-byte packets, {ends}", found.mbit_s, "Mbit/s"),
        Figure("  frames", 1000 * found.mbit_s / FRAME_BITS, "1000/s", target),
        Figure("  dropped by the machine at that rate", 100 * found.dropped, "%", "< 0.01"),
        Figure("  a router's processor time at that rate", found.router_us, "us/frame"),
        Figure("  the engine's, for six links", found.engine_us, "us/frame"),
        Figure("  source's and sink's", found.ends_us, "us/frame"),
    ]
