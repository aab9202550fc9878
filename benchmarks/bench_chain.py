"""Rate that five routers in a chain, joined by links of the engine, carry before the machine drops frames."""

from __future__ import annotations

import tempfile

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox

RATES_MBIT_S = (200, 300, 400, 500, 600)
PROMISED_MBIT_S = 400
SECONDS = 3
TOLERABLE = 0.001  # of the frames, dropped by the machine
SENT = 0.99  # of the intended frames; below it the rate was not offered


def run() -> list[Figure]:
    """Measure in a sandbox; raises RuntimeError if it cannot be created."""
    with tempfile.TemporaryDirectory() as logs:
        found = in_sandbox("chain", logs, str(SECONDS), *map(str, RATES_MBIT_S))
    share = {row["mbit_s"]: row["by_machine"] / row["sent"] for row in found if row["sent"] >= SENT * row["asked"]}
    cpu_us = next(row["cpu_us"] for row in found if row["mbit_s"] == PROMISED_MBIT_S)
    engine_us = cpu_us.pop("engine")
    carried = max((rate for rate in share if share[rate] < TOLERABLE), default=0)
    at = f"{PROMISED_MBIT_S} Mbit/s"
    return [
        Figure("five routers in a chain, 1500-byte packets", carried, "Mbit/s", f">= {PROMISED_MBIT_S}"),
        Figure(f"  dropped by the machine at {at}", 100 * share.get(PROMISED_MBIT_S, 1), "%", "< 0.1"),
        Figure(f"  a router's processor time at {at}", sum(cpu_us.values()) / len(cpu_us), "us/frame"),
        Figure(f"  the engine's, for six links, at {at}", engine_us, "us/frame"),
    ]
