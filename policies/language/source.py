"""Reads policy files and their includes, with the position of each value."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from helsewan.common.document import MAX_BYTES, Document, load, loads, read_bytes
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import SchemaError, nearest, validate
from helsewan.policies.language.includes import Open, Source, resolve
from helsewan.policies.language.partial_parse import Lost, partial_parse
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.language.schema import PolicySpec

LIBRARY = Path(str(files("helsewan.policies") / "library"))
_FILES = (".yaml", ".yml")


@dataclass(frozen=True)
class Policy:
    """A policy and its document. If entries violate the schema, ``spec`` is without those in ``lost``, and ``fault`` is
    the error, which the compiler raises with all other problems."""

    spec: PolicySpec
    document: Document
    fault: SchemaError | None = None
    lost: Lost = frozenset()


def read_policy(document: Document) -> Policy:
    """The policy in ``document``, which may include policies of the library, but no files. Raises ``InputError`` for
    invalid includes, and if no part of it can be parsed."""
    return _read(Source(document, document.name), _open_library)


def load_policy(path: Path) -> Policy:
    """Read a policy file and its includes, which may be files. Raises ``InputError`` for unreadable files, and as
    ``read_policy`` does."""
    return _read(Source(load(path), _identity(path)), _open)


def _read(source: Source, open_: Open) -> Policy:
    document = resolve(source, open_)
    try:
        return Policy(validate(document, PolicySpec), document)
    except SchemaError as fault:
        rest = partial_parse(document.data, fault.paths)
        if rest is None:
            raise
        return Policy(rest[0], document, fault, rest[1])


def _open_library(name: str, source: Source) -> Source:
    """Open an include of a policy that was not read from a file: a policy of the library."""
    if Path(name).suffix in _FILES:
        hint = "send the output of `helsewan policy show`: one file with all that it includes"
        raise Refusal("is a file, which a policy sent over REST cannot include", hint)
    if name not in library_names():
        raise Refusal("is not in the library", nearest(name, library_names()))
    path = library_path(name)
    return Source(load(path), _identity(path))


def _open(name: str, source: Source) -> Source:
    """Open a policy of the library, or a file by absolute path or by path below the folder of the including file."""
    path = Path(name)
    if path.suffix not in _FILES:
        return _open_library(name, source)
    if ".." in path.parts:
        raise Refusal("is outside the folder of this file", "move the file, or write its absolute path")
    path = Path(source.document.name).parent / path
    try:
        raw = read_bytes(path, MAX_BYTES)
    except InputError as error:
        raise Refusal(error.problems[0].reason, error.problems[0].hint) from None
    return Source(loads(raw, str(path)), _identity(path))


def _identity(path: Path) -> str:
    return str(path.resolve())


def library_names() -> tuple[str, ...]:
    """Names of the policies in the package's library."""
    return tuple(sorted(path.stem for path in LIBRARY.glob("*.yaml")))


def library() -> tuple[tuple[str, str], ...]:
    """The library's policies with their descriptions."""
    return tuple((name, load_policy(library_path(name)).spec.description) for name in library_names())


def library_path(name: str) -> Path:
    """The file of the library's policy ``name``. Raises ``InputError`` if there is none."""
    if name not in library_names():
        raise InputError(Problem("policy", name, "is not in the library", nearest(name, library_names())))
    return LIBRARY / f"{name}.yaml"


def policy_path(name: str) -> Path:
    """The file of a policy given by library name or by path (ending in .yaml or .yml). Raises
    ``InputError`` for a name the library does not have."""
    path = Path(name)
    return path if path.suffix in _FILES else library_path(name)
