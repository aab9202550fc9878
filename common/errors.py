"""The one error a user's input can cause, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where it stands, what stands there, why it is wrong, what to do.

    ``where`` is ``file:line: key.path`` for files and the option's name for options.
    """

    where: str
    value: object
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        shown = "" if self.value is None else f" {self.value!r}"
        return f"{self.where}:{shown} {self.reason}" + (f" (hint: {self.hint})" if self.hint else "")


class InputError(Exception):
    """Bad input: carries every problem found in one pass, one line each; exit code 2."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
