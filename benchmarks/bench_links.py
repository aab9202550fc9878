"""Conformance of a link of the link engine with its model, between two TAPs: rate, priority, loss."""

from __future__ import annotations

from benchmarks import Figure
from benchmarks.sandboxed.launch import in_sandbox


def run() -> list[Figure]:
    """Measure in a sandbox; raises RuntimeError if it cannot be created."""
    found = in_sandbox("links")
    figures = [
        Figure(f"rate error at {int(rate) / 1e6:g} Mbit/s", 100 * abs(error), "%", "< 1")
        for rate, error in found["rate_error"].items()
    ]
    figures += [
        Figure(f"voice's delay above an idle link's, {int(rate) / 1e6:g} Mbit/s full", frames, "frames", "<= 1")
        for rate, frames in found["voice_rise"].items()
    ]
    figures += [
        Figure(f"likelihood of the losses, {name}", likelihood, "", ">= 0.01")
        for name, likelihood in found["loss_p"].items()
    ]
    return figures
