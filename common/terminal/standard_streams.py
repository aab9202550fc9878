"""The standard streams and the terminal of a command: closed ones are opened, and changed modes are restored."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SHOW_CURSOR = b"\x1b[?25h"


def open_closed_streams() -> None:
    """Open /dev/null as those of standard input, output and error that this process was started without (``<&-``).

    Otherwise the next file or socket that is opened would get their descriptors, and be read or written as they are."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            flags = os.O_WRONLY if number else os.O_RDONLY
            opened = os.open(os.devnull, flags)  # not inherited by programs, unlike the copy
            if opened == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(opened, number)
                os.close(opened)
            if getattr(sys, name) is None:
                mode = "w" if number else "r"
                setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


@contextmanager
def terminal_restored() -> Iterator[None]:
    """At the end of the block the terminal has the modes that it had before, and its cursor is visible: what ran there
    may have been killed."""
    terminal = next((number for number in (0, 1, 2) if os.isatty(number)), None)
    if terminal is None:
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # in the background it would stop us
        try:
            with suppress(OSError, termios.error):  # the terminal is gone
                if os.isatty(1):
                    os.write(1, _SHOW_CURSOR)
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
