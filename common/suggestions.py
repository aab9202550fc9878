"""Suggests similar names for one that was not found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 5


def similar_names(name: str, names: Iterable[str], *spellings: str) -> str:
    """`` (similar: a, b)`` with those of ``names`` that contain ``name``, or resemble it or one of its ``spellings``;
    empty if there is none."""
    names = list(names)
    within = [other for other in names if name.lower() in other.lower()] if name else []
    alike = [close for one in (name, *spellings) for close in difflib.get_close_matches(one, names, n=_SHOWN)]
    found = list(dict.fromkeys([*alike, *within]))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f" (similar: {', '.join(found[:_SHOWN])}{more})" if found else ""
