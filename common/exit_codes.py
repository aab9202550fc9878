"""Exit codes of the command line and of the processes that it starts."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """A command's exit status. A command that runs another (`helsewan exec`) exits with that one's status."""

    PASS = 0  # done; every check passed, every claim proved
    FAIL = 1  # done; a check failed, a policy is violated, frames are missing from a capture
    BAD_INPUT = 2  # nothing was done: a file, an option or this machine does not allow it
    VOID = 3  # no result: the machine could not keep up, or a part of the emulation broke
    INTERRUPTED = 130  # by Ctrl-C: 128 + SIGINT, as shells report it
