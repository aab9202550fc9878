"""Names of places as users write them: the id of a link, PoP, router or site, or KIND:ID where one id is of several
kinds (``link:north``, ``pop:north``). Ids have no colon."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from helsewan.common.errors import InputError, Problem
from helsewan.topology.model import Network

M = TypeVar("M", bound=Hashable)


class AmbiguousName(InputError):
    """A name of several places; ``choices`` are the unambiguous names of each."""

    def __init__(self, where: str, name: str, choices: tuple[str, ...]) -> None:
        self.choices = choices
        *others, last = (f"a {choice.partition(':')[0].replace('pop', 'PoP')}" for choice in choices)
        reason = f"is the name of {', '.join(others)} and of {last}"
        super().__init__(Problem(where, name, reason, f"write {' or '.join(choices)}"))


def meaning(text: str, meanings: Mapping[str, Callable[[str], M | None]], where: str = "place") -> tuple[str, M] | None:
    """What ``text`` names: the kind of place and what ``meanings`` has for its id, by kind; None for an unknown name.
    Kinds that mean the same (a PoP and its only router) are not told apart. Raises AmbiguousName, with the choices,
    where they mean different things. ``where`` is the name's place in the error."""
    kind, colon, id_ = text.partition(":")
    if colon:
        only = meanings[kind](id_) if kind in meanings else None
        return None if only is None else (kind, only)
    found = {kind: known for kind, of in meanings.items() if (known := of(text)) is not None}
    if len(set(found.values())) > 1:
        raise AmbiguousName(where, text, tuple(f"{kind}:{text}" for kind in found))
    return next(iter(found.items()), None)


def routers_named(network: Network, text: str, where: str) -> tuple[str, ...]:
    """Router ids of the site, PoP or router ``text``, primary first; empty for an unknown name. Raises
    AmbiguousName."""
    site, pop = network.site, network.pop
    found = meaning(
        text,
        {
            "site": lambda id_: site[id_].homing if id_ in site else None,
            "pop": lambda id_: pop[id_].routers if id_ in pop else None,
            "router": lambda id_: (id_,) if id_ in network.router else None,
        },
        where,
    )
    return found[1] if found else ()


def site_named(network: Network, text: str) -> str | None:
    """The id of the site ``text``: an id, or ``site:ID``; None for an unknown one."""
    id_ = text.removeprefix("site:")
    return id_ if id_ in network.site else None
