"""Reads policy files and their includes, with the position of each value."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from helsewan.common.document import Document
from helsewan.common.schema_errors import SchemaError, validate
from helsewan.policies.language.grammar import POLICY
from helsewan.policies.language.includes import Open, Source, resolve
from helsewan.policies.language.library import Library, is_file_name, opened
from helsewan.policies.language.partial_parse import Lost, partial_parse
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.language.schema import PolicySpec

LIBRARY = Path(str(files("helsewan.policies") / "library"))
_LIBRARY = Library("policy", LIBRARY)


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
    return _read(opened(path), _LIBRARY.open)


def _read(source: Source, open_: Open) -> Policy:
    document = resolve(source, open_, POLICY)
    try:
        return Policy(validate(document, PolicySpec), document)
    except SchemaError as fault:
        rest = partial_parse(document.data, fault.paths)
        if rest is None:
            raise
        return Policy(rest[0], document, fault, rest[1])


def _open_library(name: str, source: Source) -> Source:
    """Open an include of a policy that was not read from a file: a policy of the library."""
    if is_file_name(name):
        hint = "send the output of `helsewan policy show`: one file with all that it includes"
        raise Refusal("is a file, which a policy sent over REST cannot include", hint)
    return _LIBRARY.open_by_name(name)


def library_names() -> tuple[str, ...]:
    """Names of the policies in the package's library."""
    return _LIBRARY.names


def library() -> tuple[tuple[str, str], ...]:
    """The library's policies with their descriptions."""
    return tuple((name, load_policy(library_path(name)).spec.description) for name in library_names())


def library_path(name: str) -> Path:
    """The file of the library's policy ``name``. Raises ``InputError`` if there is none."""
    return _LIBRARY.path(name)


def policy_path(name: str) -> Path:
    """The file of a policy given by library name or by path (ending in .yaml or .yml). Raises
    ``InputError`` for a name the library does not have."""
    return _LIBRARY.path_or_file(name)
