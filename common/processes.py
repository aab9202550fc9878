"""Runs other programs: no shell, with a deadline, and errors that carry command, status and stderr."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1


class CommandError(RuntimeError):
    """A program failed. Carries its arguments, its exit status ("none" if it did not end) and its stderr."""

    def __init__(self, argv: Sequence[str], status: int | str, stderr: str) -> None:
        self.argv, self.status, self.stderr = tuple(argv), status, stderr
        super().__init__(f"{' '.join(argv)}: exit {status}: {stderr.strip() or 'no message'}")


def run(argv: Sequence[str], deadline_s: float = 30.0, env: Mapping[str, str] | None = None) -> str:
    """Run ``argv``, wait for it and return its standard output; ``env`` adds to the environment.

    Raises CommandError on failure or when ``deadline_s`` passes."""
    whole = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=deadline_s, check=False, env=whole)
    except subprocess.TimeoutExpired:
        raise CommandError(argv, "none", f"no end within {deadline_s:g} s") from None
    except OSError as error:
        raise CommandError(argv, "none", str(error)) from error
    if done.returncode:
        raise CommandError(argv, done.returncode, done.stderr)
    return done.stdout


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent ends (prctl(2))."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), signal.SIGKILL)
