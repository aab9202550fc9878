"""What actions have done, and how it is undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from helsewan.lab.testbed.failure_state import Target
from helsewan.scenarios.spec.timeline.schema import EventSpec

UNDO_DEADLINE_S = 60.0  # for all routers to boot, and for the last change of policy
_POLL_S = 0.02

Poll = Callable[[], int | None]


@dataclass(frozen=True)
class Occurrence:
    """An event that takes place: its name in the history, its entry of the timeline, and the target of its action, if
    it has one."""

    name: str
    entry: str
    event: EventSpec
    target: Target


@dataclass(frozen=True)
class Effect:
    """What an action has begun. ``poll`` returns the time at which it took effect (CLOCK_REALTIME, ns), None while that
    is still to come, and raises what makes it impossible. ``undo`` ends what lasts; ``steps`` are to be done later,
    each so long after the action began (us). ``facts`` are for the history."""

    poll: Poll
    undo: Callable[[], Effect] | None = None
    steps: tuple[tuple[int, Callable[[], object]], ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def done(at_ns: int, undo: Callable[[], Effect] | None = None, **facts: object) -> Effect:
    """An effect that there is already, since ``at_ns``."""
    return Effect(lambda: at_ns, undo, facts=facts)


class UndoStack:
    """What is to be undone at the end of a run, by the names of the events that did it, the last one on top."""

    def __init__(self, record: Callable[..., None]) -> None:
        """``record`` writes into the run's history."""
        self._record = record
        self._undo: dict[str, tuple[Callable[[], Effect], bool]] = {}

    def push(self, name: str, undo: Callable[[], Effect], keep: bool) -> None:
        """The event ``name`` has done something that ``undo`` ends; ``keep``: not at the end of the run."""
        self._undo[name] = undo, keep

    def holds(self, name: str) -> bool:
        """Whether what the event ``name`` did lasts."""
        return name in self._undo

    def end(self, name: str) -> Effect | None:
        """End what an event did; None where that has ended already, or never began."""
        if name not in self._undo:
            return None
        undo, _ = self._undo.pop(name)
        return undo()

    def end_all(self) -> None:
        """End what is left, the last thing first, and wait until that is done. An error of one, which the history
        tells, leaves the others to be ended too."""
        pending: dict[str, Poll] = {}
        for name, (undo, keep) in reversed(list(self._undo.items())):
            if not keep:
                try:
                    pending[name] = undo().poll
                except Exception as error:  # whatever it is: the others are undone all the same
                    self._failed(name, error)
        self._undo.clear()
        deadline = time.monotonic() + UNDO_DEADLINE_S
        while pending:
            for name, poll in list(pending.items()):
                try:
                    if poll() is not None:
                        self._record("undone", of=name)
                        del pending[name]
                except Exception as error:
                    self._failed(name, error)
                    del pending[name]
            if pending and time.monotonic() > deadline:
                for name in pending:
                    self._failed(name, TimeoutError(f"not done within {UNDO_DEADLINE_S:g} s"))
                return
            if pending:
                time.sleep(_POLL_S)

    def _failed(self, name: str, error: Exception) -> None:
        self._record("undo-failed", of=name, reason=str(error) or type(error).__name__)
