"""Selects links by a user's text: an id, both ends in either order, a site, or a pattern."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names

_PATTERN = frozenset("*?[")
EXACT = "link:"  # before an id: that link, whatever else has the name


def links_named(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """The links of ``names`` that ``text`` selects: the one with that id (``oslo-hamar``, ``SITE/wan0``,
    ``link:oslo-hamar``), all access links of the site ``SITE``, those that match a shell pattern such as
    ``hospital-*/wan1``, or else the one with the ends exchanged (``hamar-oslo``).

    Raises InputError where there is none, and, with the choices, where the id is a link's and a site's or several links
    have the exchanged ends."""
    names = tuple(names)
    if _PATTERN & set(text):
        found: tuple[str, ...] = tuple(name for name in names if fnmatchcase(name, text))
    elif text.startswith(EXACT):
        found = tuple(name for name in names if name == text.removeprefix(EXACT))
    else:
        found = _named(text, names)
    if not found:
        hint = "`helsewan link list` lists all"
        raise InputError(
            Problem("link", text, f"is no link of this network{similar_names(text, names, *_reversed(text))}", hint)
        )
    return found


def _named(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    of_site = tuple(name for name in names if name.startswith(f"{text}/"))
    if text in names:
        if of_site:
            choices = f"{EXACT}{text} for the link, '{text}/*' for the site's {len(of_site)}"
            raise InputError(Problem("link", text, "is the name of a link and of a site", choices))
        return (text,)
    exchanged = tuple(name for name in names if name in set(_reversed(text)))
    if not of_site and len(exchanged) > 1:
        raise InputError(Problem("link", text, f"selects {len(exchanged)} links", f"one of {', '.join(exchanged)}"))
    return of_site or exchanged


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
