"""A folder of files of one kind that come with the package, and how files include them or one another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helsewan.common.document import MAX_BYTES, load, loads, read_bytes
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.policies.language.includes import Source
from helsewan.policies.language.refusal import Refusal

_FILES = (".yaml", ".yml")


@dataclass(frozen=True)
class Library:
    """The files of ``folder``, one of which is called ``noun``."""

    noun: str
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its files."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.yaml")))

    def path(self, name: str) -> Path:
        """The file called ``name``. Raises ``InputError`` if there is none."""
        if name not in self.names:
            raise InputError(Problem(self.noun, name, "is not in the library", nearest(name, self.names)))
        return self.folder / f"{name}.yaml"

    def path_or_file(self, name: str) -> Path:
        """The file called ``name``, or ``name`` itself as a path if it ends in .yaml or .yml. Raises ``InputError``."""
        path = Path(name)
        return path if is_file_name(name) else self.path(name)

    def open(self, name: str, source: Source) -> Source:
        """Open an include of ``source``: a name of the library, or a file by absolute path or by path below the folder
        of ``source``. Raises ``Refusal`` where that cannot be, ``InputError`` for what is wrong in the file."""
        if not is_file_name(name):
            return self.open_by_name(name)
        path = Path(name)
        if ".." in path.parts:
            raise Refusal("is outside the folder of this file", "move the file, or write its absolute path")
        path = Path(source.document.name).parent / path
        try:
            raw = read_bytes(path, MAX_BYTES)
        except InputError as error:
            raise Refusal(error.problems[0].reason, error.problems[0].hint) from None
        return Source(loads(raw, str(path)), _identity(path))

    def open_by_name(self, name: str) -> Source:
        """Open the file called ``name``. Raises ``Refusal`` if there is none."""
        if name not in self.names:
            raise Refusal("is not in the library", nearest(name, self.names))
        return opened(self.folder / f"{name}.yaml")


def is_file_name(name: str) -> bool:
    """Whether ``name`` is that of a YAML file, and none of a library."""
    return Path(name).suffix in _FILES


def opened(path: Path) -> Source:
    """The file at ``path``. Raises ``InputError``."""
    return Source(load(path), _identity(path))


def _identity(path: Path) -> str:
    return str(path.resolve())
