"""The flow engine's processor time and punctuality: one process that sends and receives for 500 sites."""

from __future__ import annotations

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox

RATES = (1_000, 20_000)  # datagrams per second in all; the targets are for the last


def run() -> list[Figure]:
    """Measure in a sandbox of its own for each rate; raises RuntimeError if one cannot be created."""
    figures = []
    for rate in RATES:
        found, full = in_sandbox("flows", str(rate)), rate == RATES[-1]
        figures += [
            Figure(f"500 sites, {rate:,} datagrams/s, sent and received", found["datagrams_s"], "/s"),
            Figure("  one thread sends and receives", found["cores"], "cores", "< 0.35" if full else ""),
            Figure("  a datagram, the network between included", found["cpu_us"], "us"),
            Figure("  sent late, 99th percentile", found["late_p99_us"] / 1000, "ms", "< 1" if full else ""),
            Figure("  sent late, most", found["late_max_us"] / 1000, "ms"),
            Figure("  not recorded or without a kernel time", found["lost"] + found["untimed"], "", "<= 0"),
        ]
    return figures
