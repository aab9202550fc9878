"""What an established flow of 1,000 packets/s notices of a failure, of the new paths after it, and of the return."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from benchmarks import Figure
from benchmarks.inside import in_world
from emulation.bfd import MULTIPLIER, PACKET_US, Timers
from policies.plan import DETECT_WITHIN_US
from topology.national import national_network

TRIALS = 50
DETECT_WITHIN_MS = 300
DARK, BOTH_WAYS, ONE_WAY = ("dark",), ("silent",), ("silent-forth", "silent-back")
ALIKE_US, APART_US = 0, 8_000  # how much more than 0.4 to 0.8 ms the paths differ by, or twice that
WINDOWS = ("reoptimising", "returning")


def run() -> list[Figure]:
    """Measure in worlds of their own; raises RuntimeError where they cannot be made."""
    alike = _measured(ALIKE_US, TRIALS, *DARK, *BOTH_WAYS, *ONE_WAY)
    apart = _measured(APART_US, TRIALS, *DARK)
    interval_ms = alike["interval_ms"]
    figures = [_gap("port down: gap", alike["rows"], DARK, 1, "ms", "< 10")]
    for name, kinds in (("both ways", BOTH_WAYS), ("one way", ONE_WAY)):
        figures.append(_gap(f"silent {name}: gap", alike["rows"], kinds, interval_ms, "BFD intervals", "< 3.5"))
    for name, rows in (("paths less than 1 ms apart", alike["rows"]), ("paths 4.6 and 8.8 ms apart", apart["rows"])):
        lost, reordered = (
            sum(row[f"{what}_{window}"] for row in rows for window in WINDOWS) for what in ("lost", "reordered")
        )
        changes = len(rows) * len(WINDOWS)
        figures.append(Figure(f"{changes} changes of path, {name}: lost", lost, "packets", "<= 0"))
        figures.append(Figure("  reordered", reordered, "packets", "<= 0"))
    cores = Timers(DETECT_WITHIN_US // 1000 // (MULTIPLIER + 1)).cores(len(national_network(400, seed=1).links))
    share = 100 * cores * alike["packet_us"] / PACKET_US
    figures.append(Figure("a control packet of BFD, from end to end", alike["packet_us"], "us", f"<= {PACKET_US}"))
    figures.append(Figure("  all links of the country by default", share, "% of a core", "< 5"))
    return figures


def _measured(extra_us: int, trials: int, *kinds: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as logs:
        found: dict[str, Any] = in_world("rig_repair", logs, str(extra_us), str(DETECT_WITHIN_MS), str(trials), *kinds)
    return found


def _gap(name: str, rows: list[dict[str, Any]], kinds: tuple[str, ...], unit_ms: int, unit: str, target: str) -> Figure:
    """The 99th percentile of the longest silences of flows that were struck, in units of ``unit_ms``."""
    silences_ms = [row["silence_ms"] for row in rows if row["kind"] in kinds and row["lost"]]
    return Figure(f"{name}, 99 % of {len(silences_ms)}", float(np.percentile(silences_ms, 99)) / unit_ms, unit, target)
