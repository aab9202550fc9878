"""The generation of rules in use and the one that replaces it, with the rollout between them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import Generation
from helsewan.controller.update.commands import Store
from helsewan.controller.update.rollout import Rollout, Stage
from helsewan.controller.update.rule_diff import Step, both


@dataclass
class GenerationUpdate:
    """``current`` is in use; ``next`` and ``rollout`` are there while a change is rolled out."""

    current: Generation
    next: Generation | None = None
    rollout: Rollout | None = None
    number: int = 0  # bundle number of the latest rollout
    event: str = ""  # to report when the change takes effect; empty once it is reported
    sizes: list[int] = field(default_factory=list)  # entries to add, to change and to remove

    def target(self, router: str) -> RuleSet:
        """All entries that a router is to hold at this time, also in the middle of a rollout."""
        if self.next is None or self.rollout is None:
            return self.current.rules(router)
        old, new = self.current.rules(router), self.next.rules(router)
        if self.rollout.stage in (Stage.REMOVING, Stage.DONE):
            return new
        ahead = self.rollout.undoing or self.rollout.stage in (Stage.TURNING, Stage.DRAINING)
        return both(new, old) if ahead else both(old, new)

    def prepare(
        self, new: Generation, steps: dict[str, Step], connected: Collection[str], event: str, undoable: bool
    ) -> Rollout:
        """The rollout from the current generation to ``new``, yet to begin. A change of policy is strict, and its plan
        is stored before the first switch changes."""
        policy = new.plan is not self.current.plan
        self.number += 2  # undoing uses the number after it
        self.next, self.event = new, event
        self.rollout = Rollout(
            steps,
            connected,
            self.number,
            strict=policy,
            undoable=undoable,
            at_turn=(Store(new.plan),) if policy else (),
            at_return=(Store(self.current.plan),) if policy else (),
        )
        self.sizes = self.rollout.sizes
        return self.rollout

    def follow(self) -> str:
        """Follows the rollout's stage; returns the event to report, once, when the change has taken effect, else "".
        When it is being undone, ``current`` and ``next`` are exchanged."""
        assert self.rollout is not None and self.next is not None
        if self.rollout.undoing and self.event:
            self.event = ""
            self.current, self.next = self.next, self.current
        if self.rollout.stage not in (Stage.DRAINING, Stage.REMOVING, Stage.DONE):
            return ""
        event, self.event = self.event, ""
        return event

    def finish(self) -> Generation:
        """Ends a rollout that is done: ``next`` becomes ``current``. Returns the generation that it replaces."""
        assert self.next is not None
        replaced, self.current, self.next, self.rollout = self.current, self.next, None, None
        return replaced


def entries(steps: Mapping[str, Step], router: str) -> int:
    """The number of entries that a router's step adds, changes and removes."""
    return sum(map(len, (steps[router].add, steps[router].turn, steps[router].remove)))
