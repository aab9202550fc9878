"""The exception for bad user input, and the format of its messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One defect of an input: location, offending value (None: not shown), reason, and a hint how to fix it.

    ``where`` is ``file:line: key.path`` for files and the name of the option for options.
    """

    where: str
    value: object
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        shown = "" if self.value is None else f" {self.value!r}"
        return f"{self.where}:{shown} {self.reason}" + (f" (hint: {self.hint})" if self.hint else "")


class InputError(Exception):
    """Bad input. Carries every problem found in one pass, printed one per line; the CLI exits with code 2."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class MissingPrivilege(InputError):
    """What this user, this container or a device's mode does not permit; the CLI exits with code 77."""
