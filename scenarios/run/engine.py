"""What a run's engines have in common: the parts that send, receive or sample while the timeline goes on."""

from __future__ import annotations

from typing import Protocol


class Engine(Protocol):
    """A part that works from ``start`` to ``stop`` in a thread or process of its own. What it needs is made in the
    constructor, before traffic begins; its records are its own attributes, complete after ``stop``."""

    def start(self, epoch_ns: int) -> None:
        """Begin; the run's time 0 is ``epoch_ns`` (CLOCK_REALTIME), some time ahead."""

    def stop(self) -> None:
        """End, and wait for it. Raises the error that ended it before, if any."""

    def close(self) -> None:
        """Give up everything it holds; also after an error, and more than once."""
