"""Suggests similar names for one that was not found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 5


def similar_names(name: str, names: Iterable[str], *spellings: str) -> str:
    """`` (near: a, b)`` of those of ``names`` that contain ``name``, or look like it or another of its ``spellings``;
    empty when none does."""
    names = list(names)
    within = [other for other in names if name.lower() in other.lower()] if name else []
    alike = [close for one in (name, *spellings) for close in difflib.get_close_matches(one, names, n=_SHOWN)]
    found = list(dict.fromkeys([*alike, *within]))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f" (near: {', '.join(found[:_SHOWN])}{more})" if found else ""
