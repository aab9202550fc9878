"""One consistent update across many switches: no packet meets a mixture of old and new rules, and the update is
completed or undone (Reitblatt et al., SIGCOMM 2012). A state machine without threads, sockets or clocks.

What no packet needs yet is added everywhere. Then each switch takes in, as a bundle, what is to change in one step,
and only when all have taken theirs are they committed. A switch that refuses a part undoes the whole: what was
turned is turned back and what was added removed, in the same careful order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from helsewan.controller.update.commands import (
    Assignment,
    Commit,
    Discard,
    Event,
    Output,
    Prepare,
    Refusal,
    SwitchCommand,
    updates,
)
from helsewan.controller.update.rule_diff import Difference, Step

ANSWER_S = 5.0  # a switch that has not done its part so long after it was asked is left behind
DRAIN_S = 0.5  # longer than any packet is under way in the core
AT_A_TIME = 4  # hides the way there and back; all at it together would leave no core for packets


class Stage(Enum):
    """The stage of an update."""

    ADDING = "what no packet needs yet is being installed"
    PREPARING = "every switch is being given what it will change in one step"
    TURNING = "the switches change, one after the other"
    DRAINING = "packets stamped before the change are still on their way"
    REMOVING = "what no packet needs any more is being deleted"
    DONE = "all that could be told have done their part"


_AFTER = dict(zip(Stage, list(Stage)[1:], strict=False))


@dataclass
class Rollout:
    """The state machine. ``connected`` are the routers that can be asked now. A ``strict`` change is undone also
    where a switch does not answer or is lost before all have taken their bundles; others go on without it. One that
    is not ``undoable`` goes on without a switch that refuses. After a strict change what the old rules need stays for
    a while for a switch that was lost before it turned: it may forward by them, and be back in a moment.

    ``at_turn`` goes out before the first switch changes, ``at_return`` before the first changes back."""

    steps: dict[str, Step]
    connected: Collection[str]
    number: int
    strict: bool = False
    undoable: bool = True
    at_turn: tuple[Output, ...] = ()
    at_return: tuple[Output, ...] = ()
    stage: Stage = Stage.ADDING
    undoing: bool = False
    refused: tuple[str, Refusal] | None = None
    ends: float | None = None  # of the draining
    queue: deque[Assignment] = field(default_factory=deque)
    asked: dict[str, tuple[SwitchCommand, float]] = field(default_factory=dict)  # order and when we give up on it
    rejoining: dict[str, float] = field(default_factory=dict)  # routers that get all anew, until when we wait for them
    behind: dict[str, float] = field(default_factory=dict)  # routers lost before they turned, until when we wait
    added: set[str] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due, if it is."""
        times = [until for _, until in self.asked.values()]
        times += [*self.rejoining.values(), *self.behind.values()]
        times += [self.ends] if self.ends is not None else []
        return min(times, default=None)

    @property
    def sizes(self) -> list[int]:
        """Entries to add, to turn and to remove, over all routers."""
        parts = [(len(step.add), len(step.turn), len(step.remove)) for step in self.steps.values()]
        return [sum(column) for column in zip(*parts, strict=True)] if parts else [0, 0, 0]

    def begin(self, now: float) -> list[Output]:
        """The first orders."""
        return self._enter(Stage.ADDING, now)

    def answered(self, router: str, order: SwitchCommand, refusal: Refusal | None, now: float) -> list[Output]:
        """A switch's word on an order; one that is not of this change, or late, is passed over."""
        if router not in self.asked or self.asked[router][0] is not order:
            return []
        del self.asked[router]
        if refusal is not None:
            return self._refused(router, refusal, now)
        self._note(router)
        return self._go_on(now)

    def lost(self, router: str, now: float) -> list[Output]:
        """A switch's connection ended: what it had not committed is forgotten with it."""
        self.rejoining.pop(router, None)
        self.prepared.discard(router)
        self.queue = deque(each for each in self.queue if each.router != router)
        self.asked.pop(router, None)
        turns = len(self.steps.get(router, Step()).turn) > 0
        if self.strict and turns and router not in self.turned:
            self.behind[router] = now + ANSWER_S
        if self._must_not_fail and turns:
            return self._refused(router, Refusal("all", "the switch was lost"), now)
        return self._go_on(now)

    def rejoins(self, router: str, now: float) -> None:
        """A switch is about to get all it is to hold, with its part in this change."""
        self.behind.pop(router, None)
        self.rejoining[router] = now + ANSWER_S

    def rejoined(self, router: str, now: float) -> list[Output]:
        """It holds all."""
        self.rejoining.pop(router, None)
        self.added.add(router)
        if self.stage not in (Stage.ADDING, Stage.PREPARING) or self.undoing:
            self.turned.add(router)
        elif self.stage is Stage.PREPARING:
            self.queue += self._orders(Stage.PREPARING, router)
        return self._go_on(now)

    def tick(self, now: float) -> list[Output]:
        """Time has passed."""
        outputs: list[Output] = []
        for waiting in (self.rejoining, self.behind):
            for router in [router for router, until in waiting.items() if now >= until]:
                del waiting[router]
                outputs.append(_no_answer(router))
        for router in [router for router, (_, until) in self.asked.items() if now >= until]:
            del self.asked[router]
            self._note(router)  # it may have done it
            outputs.append(_no_answer(router))
            if self._must_not_fail:
                outputs += self._refused(router, Refusal("all", "no answer"), now)
        if self.stage is Stage.DRAINING and self.ends is not None and now >= self.ends:
            self.ends = None
        return outputs + self._go_on(now)

    @property
    def _must_not_fail(self) -> bool:
        return self.strict and not self.undoing and self.stage in (Stage.ADDING, Stage.PREPARING)

    def _note(self, router: str) -> None:
        noted = {Stage.ADDING: self.added, Stage.PREPARING: self.prepared, Stage.TURNING: self.turned}
        noted.get(self.stage, set()).add(router)

    def _go_on(self, now: float) -> list[Output]:
        """Asks the next switch, or enters the next stage where nobody's word is outstanding."""
        if self.refused is not None and not self.undoing and not self.asked:
            return self._undo(now)
        outputs: list[Output] = []
        while self.queue and len(self.asked) < AT_A_TIME and self.queue[0].router not in self.asked:
            assignment = self.queue.popleft()
            self.asked[assignment.router] = assignment.order, now + ANSWER_S
            outputs.append(assignment)
        if self.queue or self.asked or self.ends is not None or self.stage is Stage.DONE:
            return outputs
        if self.rejoining and self.stage in (Stage.ADDING, Stage.PREPARING, Stage.TURNING):
            return outputs
        if self.behind and self.stage is Stage.TURNING:
            return outputs
        return outputs + self._enter(_AFTER[self.stage], now)

    def _enter(self, stage: Stage, now: float) -> list[Output]:
        self.stage = stage
        outputs: list[Output] = []
        if stage is Stage.TURNING:
            outputs += self.at_return if self.undoing else self.at_turn
        if stage is Stage.DRAINING:
            self.ends = now + DRAIN_S
        for router in sorted(set(self.connected) - self.rejoining.keys()):
            self.queue += self._orders(stage, router)
        return outputs + self._go_on(now)

    def _orders(self, stage: Stage, router: str) -> list[Assignment]:
        """A router's part in a stage."""
        step = self.steps.get(router, Step())
        orders: tuple[SwitchCommand, ...] = ()
        if stage is Stage.ADDING:
            orders = updates(step.add)
        elif stage is Stage.PREPARING and len(step.turn) and router not in self.turned:
            orders = (Prepare(step.turn, self.number),)
        elif stage is Stage.TURNING and router in self.prepared:
            orders = (Commit(step.turn, self.number),)
        elif stage is Stage.REMOVING:
            orders = updates(step.remove)
        return [Assignment(router, order) for order in orders]

    def _refused(self, router: str, refusal: Refusal, now: float) -> list[Output]:
        """The change is given up, once those that were asked beside this router have answered; not where all have
        turned, and only what nobody needs any more is left."""
        details = {"router": router, "rule": refusal.rule, "reason": refusal.reason, "stage": self.stage.name.lower()}
        report = Event("change-refused", {**details, "undoing": self.undoing})
        if self.undoable and not self.undoing and self.stage is not Stage.REMOVING:
            self.refused = self.refused or (router, refusal)
            self.queue.clear()
        return [report, *self._go_on(now)]

    def _undo(self, now: float) -> list[Output]:
        """The same change the other way round, where it was made. At the switch that refused, only meters can have
        changed: they are no part of a bundle."""
        assert self.refused is not None
        refuser, committing = self.refused[0], self.stage is Stage.TURNING
        untouched = (
            self.prepared - self.turned - ({refuser} if committing else set())
        )  # a failed commit takes its bundle
        waiting = [router for router in sorted(untouched) if router in self.connected]
        discards = [Assignment(router, Discard(self.number)) for router in waiting]
        steps = {router: self._reversed(router, step) for router, step in self.steps.items()}
        if committing:
            steps[refuser] = Step(turn=self.steps[refuser].turn.meters().inverse(), remove=steps[refuser].remove)
        elif self.stage is Stage.ADDING and refuser not in self.added:
            steps[refuser] = Step(remove=self.steps[refuser].add.meters().inverse())
        away = {router: now + ANSWER_S for router in self.turned if router not in self.connected}
        self.behind = away if self.strict else {}
        self.steps, self.undoing, self.number = steps, True, self.number + 1
        self.prepared, self.turned = set(), set()
        self.stage = Stage.ADDING
        self.queue += discards
        return self._go_on(now)

    def _reversed(self, router: str, step: Step) -> Step:
        return Step(
            turn=step.turn.inverse() if router in self.turned else Difference(),
            remove=step.add.inverse() if router in self.added else Difference(),
        )


def _no_answer(router: str) -> Event:
    return Event("error", {"message": "no answer", "routers": [router]})
