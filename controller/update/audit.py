"""Audits switches' tables against their targets, one switch at a time, continuously. Most checks only count a switch's
flows, which costs it next to nothing; every fourth reads back all entries and compares them one by one.

Pure: returns the commands to send and matches replies to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from helsewan.controller.update.commands import Assignment, Count, Event, Read, SwitchCommand
from helsewan.controller.update.rule_diff import Difference

CHECK_S = 0.5  # between two checks
READ_EVERY = 4  # one check of so many reads all entries
ANSWER_S = 5.0  # a check without a reply is abandoned after so long
_SHOWN = 5  # entries of each kind that a drift event names


@dataclass
class Audit:
    """The round-robin schedule of the checks. Counting and reading each have their own position in ``routers``."""

    routers: tuple[str, ...]
    next_at: float | None = None  # time of the next check; None until the first `pause`
    checks: int = 0
    counted: int = 0
    read: int = 0
    pending: Assignment | None = None
    verified_at: dict[str, float] = field(default_factory=dict)  # by router: when it was last found to match

    def pause(self, now: float) -> None:
        """Abandons the pending check, whose reply a change of rules would make meaningless; the next is due after
        CHECK_S."""
        self.pending, self.next_at = None, now + CHECK_S

    def next_check(self, usable: frozenset[str], now: float) -> list[Assignment]:
        """The command of the next check, for the next router of ``usable``; none where that is empty."""
        self.pause(now)
        if not usable:
            return []
        self.checks += 1
        command: SwitchCommand
        if self.checks % READ_EVERY:
            router, self.counted = self._following(self.counted, usable)
            command = Count()
        else:
            router, self.read = self._following(self.read, usable)
            command = Read()
        return [self.request(router, command, now)]

    def request(self, router: str, command: SwitchCommand, now: float) -> Assignment:
        """Makes ``command`` for ``router`` the pending check and returns it."""
        self.pending, self.next_at = Assignment(router, command), now + ANSWER_S
        return self.pending

    def answers(self, router: str, command: SwitchCommand) -> bool:
        """Whether a reply of ``router`` to ``command`` belongs to the pending check."""
        return self.pending is not None and self.pending.router == router and self.pending.command is command

    def _following(self, start: int, usable: frozenset[str]) -> tuple[str, int]:
        """The first usable router at or after position ``start``, and the position after it."""
        count = len(self.routers)
        at = next(i for i in range(start, start + count) if self.routers[i % count] in usable)
        return self.routers[at % count], (at + 1) % count


def drift(router: str, found: Difference) -> Event:
    """The event that a switch's entries deviate from its target: counts, and some of the entries as text."""
    details = {
        "router": router,
        "missing": len(found.add),
        "altered": len(found.change),
        "foreign": len(found.remove),
        "entries": list(_examples(found)),
    }
    return Event("drift", details)


def _examples(found: Difference) -> Iterator[str]:
    for kind, rules in (("missing", found.add), ("altered", found.was), ("foreign", found.remove)):
        for entry in list(rules)[:_SHOWN]:
            yield f"{kind}: {entry}"
