"""Parses the valid entries of a policy in which others violate the schema, so that the passes can check them too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from helsewan.policies.language.grammar import POLICY, Grammar
from helsewan.policies.language.schema import PolicySpec

Path = tuple[str | int, ...]
Lost = frozenset[tuple[str, ...]]  # (section,) or (section, entry)

_NAMELESS = "unnamed"


def partial_parse(data: Any, faults: Iterable[Path]) -> tuple[PolicySpec, Lost] | None:
    """The policy without entries that have ``faults``, and the paths of those; None if the rest is not valid either."""
    if not isinstance(data, dict):
        return None
    lost = frozenset(entry_at(path, POLICY) for path in faults)
    kept: dict[str, Any] = {}
    for section, value in data.items():
        if isinstance(value, dict) and section in POLICY.named_sections:
            kept[section] = {name: entry for name, entry in value.items() if (section, name) not in lost}
        else:
            kept[section] = value
    for section, *entry in lost:
        if not entry:
            kept.pop(section, None)
    required: dict[str, Any] = {
        section: {} for section in POLICY.named_sections if PolicySpec.model_fields[section].is_required()
    }
    try:
        return PolicySpec.model_validate({"name": _NAMELESS, **required, **kept}), lost
    except ValidationError:
        return None


def entry_at(path: Path, grammar: Grammar) -> tuple[str, ...]:
    """Path of the entry, or of the section without named entries, that contains a fault at ``path``."""
    depth = 2 if path[0] in grammar.named_sections else 1
    return tuple(str(part) for part in path[:depth])
