"""Collects what is wrong with a policy, so that all of it is told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.policies.language.partial_parse import Lost
from helsewan.policies.language.source import Policy

Path = tuple[str | int, ...]


@dataclass
class PolicyReport:
    """The problems found so far in one document, of which the entries ``lost`` are not there to be judged."""

    document: Document
    lost: Lost = frozenset()
    problems: dict[Problem, tuple[int, str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy) -> PolicyReport:
        """A report that begins with what did not fit the schema."""
        report = cls(policy.document, policy.lost)
        if policy.fault is not None:
            for path, problem in zip(policy.fault.paths, policy.fault.problems, strict=True):
                report.problems.setdefault(problem, policy.document.place(path))
        return report

    def add(self, path: Path, value: object, reason: str, hint: str = "", because: Iterable[Path] = ()) -> None:
        """Note a problem with the entry at ``path``; ``value`` is what stands there, None to show nothing.

        Where the entry is in an included file, and one of ``because`` is in a file above it, that one is to blame: the
        problem is put down to its line."""
        document = self.document
        suspects = [path, *(each for each in because if each in document.lines)]
        blamed = min(suspects, key=lambda each: document.place(each).layer)
        self.problems.setdefault(Problem(document.where(path, blamed), value, reason, hint), document.place(blamed))

    def lacks(self, section: str, name: str = "") -> bool:
        """Whether the section's entry of this name, or any where no name is given, is there but could not be read."""
        if not name:
            return any(place[0] == section for place in self.lost)
        return (section,) in self.lost or (section, name) in self.lost

    def source(self, path: Path) -> str:
        """``file:line`` of the entry at ``path``."""
        _, file, line = self.document.place(path)
        return f"{file}:{line}"

    def raise_if_any(self) -> None:
        """Raise ``InputError`` with all problems in the order of the file's lines, if there are any."""
        if self.problems:
            raise InputError(*sorted(self.problems, key=self.problems.__getitem__))
