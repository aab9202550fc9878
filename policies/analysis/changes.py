"""Textual changes between two policies, one line per changed entry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from helsewan.common.document import dotted, loads

Path = tuple[str | int, ...]

MOST = 200  # lines listed; of the rest only the number is given
_NOTHING = object()


def changes(before: str, after: str) -> tuple[str, ...]:
    """The changes from policy text ``before`` to ``after``, one line each; none where both have the same content.

    Raises InputError for text that is not YAML."""
    old, new = (loads(text.encode(), "policy").data if text else {} for text in (before, after))
    found = list(_different((), old, new))
    more = len(found) - MOST
    return (*found[:MOST], *([f"and {more} more"] if more > 0 else []))


def _different(path: Path, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(key for key in new if key not in old)):
            yield from _different((*path, key), old.get(key, _NOTHING), new.get(key, _NOTHING))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _members(path, old, new)
    elif old is _NOTHING:
        yield f"{dotted(path)}: added {_shown(new)}"
    elif new is _NOTHING:
        yield f"{dotted(path)}: removed {_shown(old)}"
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield f"{dotted(path)}: {_shown(old)} became {_shown(new)}"


def _members(path: Path, old: list[Any], new: list[Any]) -> Iterator[str]:
    """Members added to and removed from a list or, where there are none, a change of order."""
    gone, come = ([each for each in one if each not in other] for one, other in ((old, new), (new, old)))
    if len(gone) == len(come) == 1:
        yield from _different((*path, new.index(come[0])), gone[0], come[0])
        return
    yield from (f"{dotted(path)}: removed {_shown(each)}" for each in gone)
    yield from (f"{dotted(path)}: added {_shown(each)}" for each in come)
    if not gone and not come and old != new:
        yield f"{dotted(path)}: {_shown(old)} became {_shown(new)}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
