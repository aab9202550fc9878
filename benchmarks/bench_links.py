"""Whether a line of the link engine does what its model says, between two TAPs: rate, priority, loss."""

from __future__ import annotations

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox


def run() -> list[Figure]:
    """Measure in a world of its own; raises RuntimeError where it cannot be made."""
    found = in_sandbox("links")
    figures = [
        Figure(f"rate error at {int(rate) / 1e6:g} Mbit/s", 100 * abs(error), "%", "< 1")
        for rate, error in found["rate_error"].items()
    ]
    figures += [
        Figure(f"voice's delay above an idle line's, {int(rate) / 1e6:g} Mbit/s full", frames, "frames", "<= 1")
        for rate, frames in found["voice_rise"].items()
    ]
    figures += [
        Figure(f"likelihood of the losses, {name}", likelihood, "", ">= 0.01")
        for name, likelihood in found["loss_p"].items()
    ]
    return figures
