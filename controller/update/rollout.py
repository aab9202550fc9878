"""One consistent update across many switches: no packet meets a mixture of old and new rules, and the update is
completed or undone (Reitblatt et al., SIGCOMM 2012). A state machine without threads, sockets or clocks.

Entries that no packet uses yet are added everywhere. Then each switch receives a bundle with the entries that change in
one step; bundles are committed only when all switches have accepted theirs. A switch that refuses a part causes the
whole to be undone: switches that changed over change back, then added entries are removed, in the same stages.
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

ANSWER_S = 5.0  # the update goes on without a switch that has not replied for so long
DRAIN_S = 0.5  # longer than any packet takes through the backbone
AT_A_TIME = 4  # switches with a command pending: hides the round trip; more would take processors from forwarding


class Stage(Enum):
    """The stage of an update."""

    ADDING = "entries that no packet uses yet are being installed"
    PREPARING = "every switch is being sent the bundle that it will commit"
    TURNING = "the switches commit their bundles, one after the other"
    DRAINING = "packets labelled before the change are still in flight"
    REMOVING = "entries that no packet uses any more are being deleted"
    DONE = "every reachable switch has completed its part"


_AFTER = dict(zip(Stage, list(Stage)[1:], strict=False))


@dataclass
class Rollout:
    """The state machine. ``connected`` are the routers that can be sent commands now. A ``strict`` change is undone
    also where a switch does not reply or is lost before all have accepted their bundles; any other goes on without it.
    One that is not ``undoable`` goes on without a switch that refuses. In a strict change old entries are kept for up
    to ANSWER_S for a switch that was lost before it committed: it may still forward by the old rules, and reconnect.

    ``at_turn`` is output before the first switch commits, ``at_return`` before the first changes back."""

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
    ends: float | None = None  # when draining ends
    queue: deque[Assignment] = field(default_factory=deque)
    pending: dict[str, tuple[SwitchCommand, float]] = field(default_factory=dict)  # command, and its deadline
    rejoining: dict[str, float] = field(default_factory=dict)  # routers that are reprogrammed, and the deadline
    behind: dict[str, float] = field(default_factory=dict)  # routers lost before they committed, and the deadline
    added: set[str] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due, if it is."""
        times = [until for _, until in self.pending.values()]
        times += [*self.rejoining.values(), *self.behind.values()]
        times += [self.ends] if self.ends is not None else []
        return min(times, default=None)

    @property
    def sizes(self) -> list[int]:
        """The numbers of entries to add, to change in one step, and to remove, over all routers."""
        parts = [(len(step.add), len(step.turn), len(step.remove)) for step in self.steps.values()]
        return [sum(column) for column in zip(*parts, strict=True)] if parts else [0, 0, 0]

    def begin(self, now: float) -> list[Output]:
        """The first commands."""
        return self._enter(Stage.ADDING, now)

    def answered(self, router: str, command: SwitchCommand, refusal: Refusal | None, now: float) -> list[Output]:
        """A switch replied to a command; a reply that is late or not of this update is ignored."""
        if router not in self.pending or self.pending[router][0] is not command:
            return []
        del self.pending[router]
        if refusal is not None:
            return self._refused(router, refusal, now)
        self._record(router)
        return self._continue(now)

    def lost(self, router: str, now: float) -> list[Output]:
        """A switch's connection ended, and its uncommitted bundle with it."""
        self.rejoining.pop(router, None)
        self.prepared.discard(router)
        self.queue = deque(each for each in self.queue if each.router != router)
        self.pending.pop(router, None)
        turns = len(self.steps.get(router, Step()).turn) > 0
        if self.strict and turns and router not in self.turned:
            self.behind[router] = now + ANSWER_S
        if self._must_not_fail and turns:
            return self._refused(router, Refusal("all", "the switch was lost"), now)
        return self._continue(now)

    def rejoins(self, router: str, now: float) -> None:
        """A switch is being programmed anew, with its part in this update."""
        self.behind.pop(router, None)
        self.rejoining[router] = now + ANSWER_S

    def rejoined(self, router: str, now: float) -> list[Output]:
        """A rejoining switch holds its target."""
        self.rejoining.pop(router, None)
        self.added.add(router)
        if self.stage not in (Stage.ADDING, Stage.PREPARING) or self.undoing:
            self.turned.add(router)
        elif self.stage is Stage.PREPARING:
            self.queue += self._commands(Stage.PREPARING, router)
        return self._continue(now)

    def tick(self, now: float) -> list[Output]:
        """Time has passed; call at ``deadline``."""
        outputs: list[Output] = []
        for waiting in (self.rejoining, self.behind):
            for router in [router for router, until in waiting.items() if now >= until]:
                del waiting[router]
                outputs.append(_no_answer(router))
        for router in [router for router, (_, until) in self.pending.items() if now >= until]:
            del self.pending[router]
            self._record(router)  # it may have carried the command out
            outputs.append(_no_answer(router))
            if self._must_not_fail:
                outputs += self._refused(router, Refusal("all", "no answer"), now)
        if self.stage is Stage.DRAINING and self.ends is not None and now >= self.ends:
            self.ends = None
        return outputs + self._continue(now)

    @property
    def _must_not_fail(self) -> bool:
        return self.strict and not self.undoing and self.stage in (Stage.ADDING, Stage.PREPARING)

    def _record(self, router: str) -> None:
        noted = {Stage.ADDING: self.added, Stage.PREPARING: self.prepared, Stage.TURNING: self.turned}
        noted.get(self.stage, set()).add(router)

    def _continue(self, now: float) -> list[Output]:
        """Sends the next commands, or enters the next stage where none is queued or pending."""
        if self.refused is not None and not self.undoing and not self.pending:
            return self._undo(now)
        outputs: list[Output] = []
        while self.queue and len(self.pending) < AT_A_TIME and self.queue[0].router not in self.pending:
            assignment = self.queue.popleft()
            self.pending[assignment.router] = assignment.command, now + ANSWER_S
            outputs.append(assignment)
        if self.queue or self.pending or self.ends is not None or self.stage is Stage.DONE:
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
            self.queue += self._commands(stage, router)
        return outputs + self._continue(now)

    def _commands(self, stage: Stage, router: str) -> list[Assignment]:
        """A router's commands in a stage."""
        step = self.steps.get(router, Step())
        commands: tuple[SwitchCommand, ...] = ()
        if stage is Stage.ADDING:
            commands = updates(step.add)
        elif stage is Stage.PREPARING and len(step.turn) and router not in self.turned:
            commands = (Prepare(step.turn, self.number),)
        elif stage is Stage.TURNING and router in self.prepared:
            commands = (Commit(step.turn, self.number),)
        elif stage is Stage.REMOVING:
            commands = updates(step.remove)
        return [Assignment(router, command) for command in commands]

    def _refused(self, router: str, refusal: Refusal, now: float) -> list[Output]:
        """Marks the update to be undone, once all pending commands are answered. In stage REMOVING it is not undone:
        every switch has changed over, and only unused entries are left."""
        details = {"router": router, "rule": refusal.rule, "reason": refusal.reason, "stage": self.stage.name.lower()}
        report = Event("change-refused", {**details, "undoing": self.undoing})
        if self.undoable and not self.undoing and self.stage is not Stage.REMOVING:
            self.refused = self.refused or (router, refusal)
            self.queue.clear()
        return [report, *self._continue(now)]

    def _undo(self, now: float) -> list[Output]:
        """Begins the inverse update, at the switches that were changed. At the one that refused, only meters can have
        changed: they are sent outside the bundle."""
        assert self.refused is not None
        refuser, committing = self.refused[0], self.stage is Stage.TURNING
        # a failed commit discards its bundle
        untouched = self.prepared - self.turned - ({refuser} if committing else set())
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
        return self._continue(now)

    def _reversed(self, router: str, step: Step) -> Step:
        return Step(
            turn=step.turn.inverse() if router in self.turned else Difference(),
            remove=step.add.inverse() if router in self.added else Difference(),
        )


def _no_answer(router: str) -> Event:
    return Event("error", {"message": "no answer", "routers": [router]})
