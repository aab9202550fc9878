"""The flow engine's processor time and punctuality: one process that sends and receives for 500 sites."""

from __future__ import annotations

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox

RUNS = ((1_000, "paced"), (20_000, "paced"), (20_000, "poisson"))  # datagrams per second in all, and when they are due
NAMES = {"paced": "evenly spaced", "poisson": "RTP on Poisson schedules"}
TARGETED = 20_000  # the rate that the targets are for


def run() -> list[Figure]:
    """Measure in a sandbox of its own for each run; raises RuntimeError if one cannot be created."""
    figures = []
    for rate, due in RUNS:
        found, full = in_sandbox("flows", str(rate), due), rate == TARGETED
        figures += [
            Figure(f"500 sites, {rate:,} datagrams/s, {NAMES[due]}, sent and received", found["datagrams_s"], "/s"),
            Figure("  one thread sends and receives", found["cores"], "cores", "< 0.35" if full else ""),
            Figure("  a datagram, the network between included", found["cpu_us"], "us"),
            Figure("  sent late, 99th percentile", found["late_p99_us"] / 1000, "ms", "< 1" if full else ""),
            Figure("  sent late, most", found["late_max_us"] / 1000, "ms"),
            Figure("  not recorded or without a kernel time", found["lost"] + found["untimed"], "", "<= 0"),
        ]
    return figures
