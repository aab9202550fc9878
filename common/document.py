"""YAML documents with positions: reads a file to plain data and knows the line of every value.

The only module that opens YAML files. `schema_errors` validates a document against a pydantic model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from helsewan.common import yaml_tree
from helsewan.common.errors import InputError, Problem

MAX_BYTES = 4_000_000


class SourcePosition(NamedTuple):
    """File and line of a value. Of files that include one another, ``layer`` 0 is the outermost."""

    layer: int
    file: str
    line: int


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the line of each value."""

    name: str
    data: Any
    lines: Mapping[yaml_tree.Path, int] = field(repr=False, default_factory=dict)
    text: str = field(repr=False, default="")

    def position(self, path: Sequence[str | int] = ()) -> SourcePosition:
        """Position of the value at ``path`` or, if the file lacks it, of the innermost enclosing value."""
        return SourcePosition(0, self.name, self.lines.get(self.known(path), 1))

    def known(self, path: Sequence[str | int]) -> yaml_tree.Path:
        """The longest prefix of ``path`` that is in the file."""
        known = tuple(path)
        while known and known not in self.lines:
            known = known[:-1]
        return known

    def folder(self, path: Sequence[str | int] = ()) -> Path:
        """The folder that a relative path at ``path`` starts from: that of the file it stands in."""
        return Path(self.position(path).file).parent

    def where(self, path: Sequence[str | int] = (), at: Sequence[str | int] | None = None) -> str:
        """``file:line: contracts[3].client`` for a path; the line is that of ``at``, if given."""
        _, file, line = self.position(path if at is None else at)
        where = f"{file}:{line}" if self.lines else file
        return f"{where}: {dotted(path)}" if path else where


def dotted(path: Sequence[str | int]) -> str:
    """A path in dotted notation: ``contracts[3].client``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def load(path: Path) -> Document:
    """Read a YAML file. Raises ``InputError`` with ``file:line:column`` when it cannot be read."""
    return loads(read_bytes(path, MAX_BYTES), str(path))


def read_bytes(path: Path, most: int) -> bytes:
    """The first ``most + 1`` bytes of a file, so that the caller can refuse a larger one. Raises ``InputError``."""
    name = str(path)
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise InputError(Problem(name, None, "no such file", "check the path")) from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise InputError(Problem(name, None, reason, "check the path and its permissions")) from None


def loads(raw: bytes, name: str, most_bytes: int = MAX_BYTES, most_values: int = yaml_tree.MAX_VALUES) -> Document:
    """A document from bytes; ``name`` is its name in error messages. Raises ``InputError``."""
    if len(raw) > most_bytes:
        raise InputError(Problem(name, None, f"is larger than {most_bytes} bytes", "split the file"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        value = raw[error.start : error.start + 1]
        raise InputError(Problem(f"{name}:{line}:{column}", value, "is not UTF-8", "save the file as UTF-8")) from None
    tree = yaml_tree.parse(text, name, most_values)
    return Document(name, tree.data, tree.lines, text)
