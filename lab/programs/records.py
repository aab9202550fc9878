"""A program to be run at a site, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class SiteProgram:
    """A program: ``argv`` is started at ``site`` at ``at_us`` from the run's start, without a shell, and ended after
    ``timeout_us`` (None: with the run). ``name`` is the scenario's entry."""

    name: str
    site: str
    argv: tuple[str, ...]
    at_us: int
    timeout_us: int | None = None


class Ending(str, Enum):
    """How a program ended."""

    EXITED = "exited"  # by itself
    TIMEOUT = "timeout"  # it was ended because its time was over
    RUN = "run"  # it was ended with the run
    NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What became of a program. Times in us from the run's start; ``exit_code`` as shells have it, 128 and more for the
    signal that ended it, None where it did not run. ``stdout`` and ``stderr``: how many bytes it wrote, of which the
    files have the first."""

    program: SiteProgram
    ending: Ending
    begin_us: int
    end_us: int
    exit_code: int | None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    error: str = ""
