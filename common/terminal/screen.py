"""Console on standard output that tolerates any encoding and closed pipes."""

from __future__ import annotations

import io
import os
import sys

from rich.console import Console


class Screen(Console):
    """A rich console on standard output. Characters that its encoding lacks are printed as ``?``. When its reader
    closes the pipe (``| head``), further output is discarded and the program goes on."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        super().__init__(highlight=False, emoji=False)  # ":a:" is a part of an IPv6 address

    def on_broken_pipe(self) -> None:
        """Called by rich instead of raising."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
