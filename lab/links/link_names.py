"""Which links a user names: by id, by both ends in either order, by site, by pattern."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names

_PATTERN = frozenset("*?[")


def links_named(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """The lines of ``names`` that ``text`` means: ``oslo-hamar`` or ``hamar-oslo``, ``SITE/wan0``, ``SITE`` for all
    lines of a site, or a pattern of the shell's such as ``hospital-*/wan1``. Raises InputError where there is none."""
    names = tuple(names)
    if _PATTERN & set(text):
        found = tuple(name for name in names if fnmatchcase(name, text))
    else:
        found = tuple(name for name in names if name in (text, *_turned(text)) or name.startswith(f"{text}/"))
    if not found:
        hint = "helsewan link list names them all"
        raise InputError(
            Problem("line", text, f"is no line of this network{similar_names(text, names, *_turned(text))}", hint)
        )
    return found


def link_named(text: str, names: Iterable[str]) -> str:
    """The same where it must be one. Raises InputError for several."""
    found = links_named(text, names)
    if len(found) > 1:
        raise InputError(Problem("line", text, f"is {len(found)} lines: {', '.join(found[:5])}", "name one"))
    return found[0]


def _turned(text: str) -> Iterable[str]:
    """``text`` with its ends exchanged, wherever the dash between them may stand."""
    for dash in ("--", "-"):
        at = text.find(dash)
        while at > 0:
            yield text[at + len(dash) :] + dash + text[:at]
            at = text.find(dash, at + 1)
