"""Progress output of a run: one live status line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status

PLAIN_EVERY_S = 5.0


class Progress:
    """Prints stages and events as lines, and between them the current state of the run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._last_shown = 0.0

    def __enter__(self) -> Progress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def say(self, text: str) -> None:
        """Print a permanent line with the time since the start."""
        since = f"[dim]{time.monotonic() - self._began:6.1f} s[/]"
        self._console.print(f"{since}  {escape(text)}", highlight=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """Show the current state: in the status line, or as a line every ``PLAIN_EVERY_S`` without a terminal."""
        if self._status:
            self._status.update(text)
        elif time.monotonic() - self._last_shown >= PLAIN_EVERY_S:
            self._last_shown = time.monotonic()
            self.say(text)
