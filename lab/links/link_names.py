"""Selects links by a user's text: an id, both ends in either order, a site, or a pattern."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names

_PATTERN = frozenset("*?[")


def links_named(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """The links of ``names`` that ``text`` selects: ``oslo-hamar`` or ``hamar-oslo``, ``SITE/wan0``, ``SITE`` for all
    access links of a site, or a shell pattern such as ``hospital-*/wan1``. Raises InputError where there is none."""
    names = tuple(names)
    if _PATTERN & set(text):
        found = tuple(name for name in names if fnmatchcase(name, text))
    else:
        found = tuple(name for name in names if name in (text, *_reversed(text)) or name.startswith(f"{text}/"))
    if not found:
        hint = "`helsewan link list` lists all"
        raise InputError(
            Problem("link", text, f"is no link of this network{similar_names(text, names, *_reversed(text))}", hint)
        )
    return found


def link_named(text: str, names: Iterable[str]) -> str:
    """The one link of ``names`` that ``text`` selects. Raises InputError for none or several."""
    found = links_named(text, names)
    if len(found) > 1:
        raise InputError(Problem("link", text, f"selects {len(found)} links: {', '.join(found[:5])}", "name one"))
    return found[0]


def _reversed(text: str) -> Iterable[str]:
    """``text`` with its two ends exchanged, for each dash that may separate them."""
    for dash in ("--", "-"):
        at = text.find(dash)
        while at > 0:
            yield text[at + len(dash) :] + dash + text[:at]
            at = text.find(dash, at + 1)
