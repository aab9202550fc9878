"""The exception for bad user input, and the format of its messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MOST_SHOWN = 20  # problems that a message has in full; the rest are counted
_MOST_VALUE = 100  # characters of a value
_WHERE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::\d+)?(?:: (?P<key>.*))?", re.DOTALL)
_MOST_WHERE, _MOST_REASON, _MOST_HINT = 300, 400, 1_000  # characters of the parts that may quote the input


class Location(NamedTuple):
    """Where in a file a problem is: ``line`` 0 and no ``key`` where it is in none, and ``file`` is an option's name."""

    file: str
    line: int
    key: str


@dataclass(frozen=True)
class Problem:
    """One defect of an input: location, offending value (None: not shown), reason, and a hint how to fix it.

    ``where`` is ``file:line: key.path`` for files and the name of the option for options. As text it is one line of
    bounded length, whatever the input is.
    """

    where: str
    value: object
    reason: str
    hint: str = ""

    @property
    def location(self) -> Location:
        """``where`` in its parts."""
        match = _WHERE.fullmatch(self.where)
        return Location(match["file"], int(match["line"]), match["key"] or "") if match else Location(self.where, 0, "")

    def __str__(self) -> str:
        value = "" if self.value is None else f" {_value(self.value)}"
        hint = f" (hint: {_line(self.hint, _MOST_HINT)})" if self.hint else ""
        return f"{_line(self.where, _MOST_WHERE)}:{value} {_line(self.reason, _MOST_REASON)}{hint}"


class InputError(Exception):
    """Bad input. Carries every problem found in one pass; as text one a line, the first 20 and the number of the rest.
    The CLI exits with code 2."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(shown(problems)))


class MissingPrivilege(InputError):
    """What this user, this container or a device's mode does not permit; the CLI exits with code 77."""


def shown(problems: Sequence[Problem]) -> list[str]:
    """The lines that tell ``problems``: at most ``MOST_SHOWN``, and one with the number of the rest."""
    lines = [str(problem) for problem in problems[:MOST_SHOWN]]
    rest = len(problems) - len(lines)
    return [*lines, f"and {rest:,} more problem{'' if rest == 1 else 's'}"] if rest else lines


def _value(value: object) -> str:
    """A value's representation; the beginning of a long one, and its length."""
    if isinstance(value, str | bytes) and len(value) > _MOST_VALUE:
        return f"{value[:_MOST_VALUE]!r}... ({len(value):,} {'bytes' if isinstance(value, bytes) else 'characters'})"
    text = repr(value)
    return text if len(text) <= 2 * _MOST_VALUE else f"{text[:_MOST_VALUE]}..."


def _line(text: str, most: int) -> str:
    """One line of at most ``most`` characters, without control characters."""
    cut = text if len(text) <= most else text[:most] + "..."
    return cut if cut.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)
