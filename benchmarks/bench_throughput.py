"""Rate that one link of the link engine carries on one core, and the processor time of a full frame."""

from __future__ import annotations

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox


def run() -> list[Figure]:
    """Measure in a sandbox; raises RuntimeError if it cannot be created."""
    found = in_sandbox("throughput")
    return [
        Figure(f"one link, one core, 1500-byte packets ({found['busy']:.0%} busy)", found["gbit_s"], "Gbit/s", ">= 1"),
        Figure("  engine's processor time", found["cpu_us"], "us/frame"),
        Figure("  of which outside the kernel", found["user_us"], "us/frame"),
        Figure("  frames a round of the loop", found["frames_per_round"], ""),
    ]
