"""What a person sees while a run goes on: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status

PLAIN_EVERY_S = 5.0


class Progress:
    """Tells stages and events as lines, and between them where the run stands."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._told = 0.0

    def __enter__(self) -> Progress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        since = f"[dim]{time.monotonic() - self._began:6.1f} s[/]"
        self._console.print(f"{since}  {escape(text)}", highlight=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """Where the run stands now; replaces what was shown, or a line now and then without a terminal."""
        if self._status:
            self._status.update(text)
        elif time.monotonic() - self._told >= PLAIN_EVERY_S:
            self._told = time.monotonic()
            self.say(text)
