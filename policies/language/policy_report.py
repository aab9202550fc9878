"""Collects the problems of a policy, so that all are reported at once."""

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
    """The problems found so far in a document; entries in ``lost`` violate the schema and are not checked further."""

    document: Document
    lost: Lost = frozenset()
    problems: dict[Problem, tuple[int, str, int]] = field(default_factory=dict)
    remarks: dict[str, tuple[int, str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy) -> PolicyReport:
        """A report that starts with the schema violations of ``policy``."""
        report = cls(policy.document, policy.lost)
        if policy.fault is not None:
            for path, problem in zip(policy.fault.paths, policy.fault.problems, strict=True):
                report.problems.setdefault(problem, policy.document.position(path))
        return report

    def add(self, path: Path, value: object, reason: str, hint: str = "", because: Iterable[Path] = ()) -> None:
        """Add a problem with the entry at ``path``; ``value`` is shown as its value, None to show nothing.

        ``because`` has the paths of related entries. The problem is located at the one of all these in the outermost
        file: a file that includes another is responsible for conflicts with it.
        """
        document = self.document
        suspects = [path, *(each for each in because if each in document.lines)]
        blamed = min(suspects, key=lambda each: document.position(each).layer)
        self.problems.setdefault(Problem(document.where(path, blamed), value, reason, hint), document.position(blamed))

    def remark(self, path: Path, text: str) -> None:
        """Add a remark on the entry at ``path``: what is valid and perhaps not intended."""
        self.remarks.setdefault(f"{self.document.where(path)}: {text}", self.document.position(path))

    @property
    def remarked(self) -> tuple[str, ...]:
        """All remarks in the order of the file's lines, each with its file and line."""
        return tuple(sorted(self.remarks, key=self.remarks.__getitem__))

    def lacks(self, section: str, name: str = "") -> bool:
        """Whether the section's entry ``name``, or any of its entries if that is empty, violates the schema."""
        if not name:
            return any(path[0] == section for path in self.lost)
        return (section,) in self.lost or (section, name) in self.lost

    def source(self, path: Path) -> str:
        """``file:line`` of the entry at ``path``."""
        _, file, line = self.document.position(path)
        return f"{file}:{line}"

    def raise_if_any(self) -> None:
        """Raise ``InputError`` with all problems in the order of the file's lines, if any."""
        if self.problems:
            raise InputError(*sorted(self.problems, key=self.problems.__getitem__))
