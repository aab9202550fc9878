"""Suggests similar names for one that was not found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MOST_HINTS = 40  # names looked for in one input: each is compared with thousands; twice the problems that are shown
_SHOWN = 5
_left: ContextVar[list[int] | None] = ContextVar("hints_left", default=None)


@contextmanager
def hints_limited(most: int = MOST_HINTS) -> Iterator[None]:
    """Within it at most ``most`` names are compared with known ones (`closest`): comparing all names of an input
    of 60,000 wrong ones takes minutes, and the first of its problems are shown only. One within another shares its
    limit."""
    if _left.get() is not None:
        yield
        return
    token = _left.set([most])
    try:
        yield
    finally:
        _left.reset(token)


def hints_left() -> bool:
    """Whether names may still be compared with known ones."""
    left = _left.get()
    return left is None or left[0] > 0


def _spend() -> None:
    if (left := _left.get()) is not None:
        left[0] -= 1


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that resembles ``name`` most; None if none does, or beyond the limit of
    `hints_limited`."""
    if not hints_left():
        return None
    _spend()
    close = difflib.get_close_matches(name, known, n=1)
    return close[0] if close else None


def similar_names(name: str, names: Iterable[str], *spellings: str) -> str:
    """`` (similar: a, b)`` with those of ``names`` that contain ``name``, or resemble it or one of its ``spellings``;
    empty if there is none."""
    names = list(names)
    within = [other for other in names if name.lower() in other.lower()] if name else []
    alike = [close for one in (name, *spellings) for close in difflib.get_close_matches(one, names, n=_SHOWN)]
    found = list(dict.fromkeys([*alike, *within]))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f" (similar: {', '.join(found[:_SHOWN])}{more})" if found else ""
