"""Collects what is wrong with a policy, so that all of it is told at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from topology.document import Document
from topology.errors import InputError, Problem

Path = tuple[str | int, ...]


@dataclass
class Report:
    """The problems found so far in one document."""

    document: Document
    problems: dict[Problem, int] = field(default_factory=dict)

    def add(self, path: Path, value: object, reason: str, hint: str = "") -> None:
        """Note a problem with the entry at ``path``; ``value`` is what stands there, None to show nothing."""
        self.problems.setdefault(Problem(self.document.where(path), value, reason, hint), self._line(path))

    def source(self, path: Path) -> str:
        """``file:line`` of the entry at ``path``."""
        return f"{self.document.name}:{self._line(path)}"

    def raise_if_any(self) -> None:
        """Raise ``InputError`` with all problems in the order of the file's lines, if there are any."""
        if self.problems:
            raise InputError(*sorted(self.problems, key=self.problems.__getitem__))

    def _line(self, path: Path) -> int:
        while path and path not in self.document.lines:
            path = path[:-1]
        return self.document.lines.get(path, 1)
