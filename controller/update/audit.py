"""Audits switches' tables against their targets, one switch at a time, continuously: usually its flows are only
counted, which costs a switch next to nothing; now and then all it holds is read back and compared entry by entry.

Pure: it says whom to ask, and judges the answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from helsewan.controller.update.commands import Assignment, Count, Event, Read, SwitchCommand
from helsewan.controller.update.rule_diff import Difference

LOOK_S = 0.5  # from one look to the next
READ_EVERY = 4  # looks, of which one reads all
ANSWER_S = 5.0  # a look that has not been answered so long after is forgotten
_SHOWN = 5  # entries named in a report


@dataclass
class Audit:
    """Whose turn it is. Counting and reading go round on their own."""

    routers: tuple[str, ...]
    next_at: float | None = None  # None: not before `rest`
    looks: int = 0
    counted: int = 0
    read: int = 0
    asked: Assignment | None = None
    seen: dict[str, float] = field(default_factory=dict)  # when each router's answer was last as it should be

    def rest(self, now: float) -> None:
        """Forget a look that is under way, for rules are changing; begin again after a pause."""
        self.asked, self.next_at = None, now + LOOK_S

    def look(self, usable: frozenset[str], now: float) -> list[Assignment]:
        """The next look, at a router of ``usable``."""
        self.rest(now)
        if not usable:
            return []
        self.looks += 1
        order: SwitchCommand
        if self.looks % READ_EVERY:
            router, self.counted = self._following(self.counted, usable)
            order = Count()
        else:
            router, self.read = self._following(self.read, usable)
            order = Read()
        return [self.ask(router, order, now)]

    def ask(self, router: str, order: SwitchCommand, now: float) -> Assignment:
        """A look at this router."""
        self.asked, self.next_at = Assignment(router, order), now + ANSWER_S
        return self.asked

    def answers(self, router: str, order: SwitchCommand) -> bool:
        """Whether this answers the look under way."""
        return self.asked is not None and self.asked.router == router and self.asked.order is order

    def _following(self, place: int, usable: frozenset[str]) -> tuple[str, int]:
        """The first usable router from ``place`` on, and the place after it."""
        count = len(self.routers)
        at = next(i for i in range(place, place + count) if self.routers[i % count] in usable)
        return self.routers[at % count], (at + 1) % count


def drift(router: str, found: Difference) -> Event:
    """What a switch did not hold as meant, in words."""
    details = {
        "router": router,
        "missing": len(found.add),
        "altered": len(found.change),
        "foreign": len(found.remove),
        "entries": list(_words(found)),
    }
    return Event("drift", details)


def _words(found: Difference) -> Iterator[str]:
    named = (("missing", found.add), ("altered", found.was), ("foreign", found.remove))
    for what, rules in named:
        for entry in list(rules)[:_SHOWN]:
            yield f"{what}: {entry}"
