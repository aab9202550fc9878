"""A policy file as read: its contents, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from policies.schema import PolicySpec
from topology.document import Document, load, validate
from topology.errors import InputError, Problem

LIBRARY = Path(__file__).parent / "library"


@dataclass(frozen=True)
class Policy:
    """A schema-checked policy and the document it came from."""

    spec: PolicySpec
    document: Document


def read_policy(document: Document) -> Policy:
    """The policy in ``document``. Raises ``InputError`` with every key that does not fit the schema."""
    return Policy(validate(document, PolicySpec), document)


def load_policy(path: Path) -> Policy:
    """Read a policy file. Raises ``InputError`` as ``topology.document.load`` and ``read_policy`` do."""
    return read_policy(load(path))


def library_names() -> tuple[str, ...]:
    """The policies that come with the package."""
    return tuple(sorted(path.stem for path in LIBRARY.glob("*.yaml")))


def library() -> tuple[tuple[str, str], ...]:
    """The library's policies with their descriptions."""
    return tuple((name, load_policy(library_path(name)).spec.description) for name in library_names())


def library_path(name: str) -> Path:
    """The file of the library's policy ``name``. Raises ``InputError`` if there is none."""
    if name not in library_names():
        known = "one of " + ", ".join(library_names())
        raise InputError(Problem("policy", name, "is not in the library", known))
    return LIBRARY / f"{name}.yaml"


def policy_path(name: str) -> Path:
    """The file of a policy that is named as in the library or by its path (ends in .yaml or .yml). Raises
    ``InputError`` for a name the library does not have."""
    path = Path(name)
    return path if path.suffix in (".yaml", ".yml") else library_path(name)
