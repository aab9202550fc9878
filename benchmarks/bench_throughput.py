"""How much one line of the link engine carries on one core, and what a full frame costs there."""

from __future__ import annotations

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox


def run() -> list[Figure]:
    """Measure in a world of its own; raises RuntimeError where it cannot be made."""
    found = in_sandbox("throughput")
    return [
        Figure(f"one line, one core, 1500-byte packets ({found['busy']:.0%} busy)", found["gbit_s"], "Gbit/s", ">= 1"),
        Figure("  engine's processor time", found["cpu_us"], "us/frame"),
        Figure("  of which outside the kernel", found["user_us"], "us/frame"),
        Figure("  frames each time the loop looks", found["frames_per_round"], ""),
    ]
