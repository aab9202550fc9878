"""Supervises the processes of a running lab: observes them in a thread of its own, and acts on ends in the main thread.

What becomes of a part that ends, by its kind:

- a daemon of a router: the router is dead, as after a power failure; its links go down, the rest goes on;
- a controller, the slow path, the northbound server, the management relay: restarted; they keep no state that the
  network needs. After a few restarts in a short time the part is given up: it stays dead, the network goes on without
  it;
- a northbound server that a signal has stopped for STOPPED_S keeps its clients waiting: it is killed, hence restarted;
- the link engine, or the Open vSwitch that all routers share: the network ends, as no frame can pass any more.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from helsewan.lab.supervision.conditions import STOPPED_BY_SIGNAL, Condition, PartConditions, Reading, Time, Trouble
from helsewan.lab.supervision.restarts import Restart, RestartPolicy
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.parts import Part, PartKind, how_ended
from helsewan.lab.testbed.testbed import Testbed

OBSERVE_S = 0.5
PAUSED_AFTER_S = 3.0  # the observing thread itself did not run for so long: nor did anything else of this process
STOPPED_S = 10.0  # less than the deadlines of clients, longer than a look by hand
PAST_SHOWN = 10
RESTARTED = "part-restarted"
ITSELF = "the network's own process"

Record = Callable[..., None]  # `History.append`


class PartLost(RuntimeError):
    """A part without which the network cannot go on has ended; ``log`` is the file that may tell more."""

    def __init__(self, reason: str, log: str) -> None:
        self.log = log
        super().__init__(reason)


class Supervisor:
    """Supervises the parts of ``testbed``, which is up. Every change is told to ``record``, and those that matter to
    whoever looks at the network's own output, in ``output``, to ``say``. ``on_give_up`` is called, in the main thread,
    with a part that is given up."""

    def __init__(
        self,
        testbed: Testbed,
        record: Record,
        say: Callable[[str], None],
        output: Path,
        on_give_up: Callable[[Part], None],
    ) -> None:
        self._testbed, self._record, self._say, self._output = testbed, record, say, output
        self._on_give_up = on_give_up
        self._conditions, self._policy = PartConditions(), RestartPolicy()
        self._lock = threading.Lock()
        self._parts = testbed.parts()
        self._given_up: set[Part] = set()
        self._killed: dict[int, str] = {}  # why, by process id
        self._stopping = threading.Event()
        self._observer = threading.Thread(target=self._observe, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to observe."""
        self._testbed.is_supervised = True
        self._observer.start()

    def stop(self) -> None:
        """Observe no more: the network is being ended."""
        self._stopping.set()
        self._observer.join()

    def act(self) -> None:
        """In the main thread: restart or fail what has ended. Raises PartLost."""
        parts = self._testbed.parts()
        self._kill_stopped(parts)
        ended = [(part, status) for part in parts if (status := part.status()) is not None]
        # A frame's way first: what cannot go on ends, and a router that is dead gets no further packets.
        for part, status in sorted(ended, key=lambda each: list(PartKind).index(each[0].kind)):
            if part not in self._given_up:
                self._ended(part, self._killed.pop(part.pid, how_ended(status)))
        if ended:
            parts = self._testbed.parts()
        with self._lock:
            self._parts = [part for part in parts if part not in self._given_up]

    def router_off(self, router: str, reason: str) -> None:
        """In the main thread: a router was powered off for a ``reason``, and is dead until `router_on`."""
        now = _now()
        daemons = [part.name for part in self._parts if part.owner == router and part.kind is PartKind.ROUTER]
        self._apply(lambda now: [change for name in daemons for change in self._conditions.end(name, now)], *daemons)
        with self._lock:
            changes = self._conditions.begin(Trouble(_router_name(router), Condition.DEAD, now, reason))
        self._tell(changes)

    def router_on(self, router: str) -> None:
        """In the main thread: a router that was dead is on again, and programmed."""
        self._apply(lambda now: self._conditions.end(_router_name(router), now))

    def report(self) -> dict[str, Any]:
        """Troubles for ``status``, as JSON values: ``dead``, names; ``troubles``, those that last; ``past_troubles``,
        the latest that have ended; ``sites_off``, sites that no live router serves. Callable from any thread."""
        now = _now()
        with self._lock:
            present, past = self._conditions.present, self._conditions.past[-PAST_SHOWN:]
        return {
            "dead": [trouble.part for trouble in present if trouble.condition is Condition.DEAD],
            "troubles": [trouble.facts(now) for trouble in present],
            "past_troubles": [trouble.facts(now) for trouble in past],
            "sites_off": self._sites_off(),
        }

    def _sites_off(self) -> list[str]:
        off = self._testbed.failed_routers
        return [site.id for site in self._testbed.network.sites if off and off.issuperset(site.homing)]

    def _kill_stopped(self, parts: Sequence[Part]) -> None:
        """Kill northbound servers that a signal has stopped for too long: they keep no state, and clients wait."""
        now = _now()
        with self._lock:
            stopped = {
                trouble.part
                for trouble in self._conditions.present
                if trouble.reason == STOPPED_BY_SIGNAL and now.seconds_since(trouble.since) >= STOPPED_S
            }
        for part in parts:
            if part.kind is PartKind.NORTHBOUND and part.name in stopped and part.status() is None:
                self._killed[part.pid] = f"was stopped by a signal for {STOPPED_S:g} s while clients waited, and killed"
                with suppress(ProcessLookupError):
                    os.kill(part.pid, signal.SIGKILL)

    def _ended(self, part: Part, how: str) -> None:
        """A part has ended: record it, and act by its kind."""
        if part.kind is PartKind.ROUTER:
            self._router_died(part, how)
            return
        died = self._begin(part.name, how, part)
        if part.kind in (PartKind.LINK_ENGINE, PartKind.ROUTERS):
            raise PartLost(f"{part.name} {how}, and no frame can pass without it", str(part.log or self._output))
        decision = self._policy.decide(part.name, died.monotonic_ns / 1e9, time.monotonic())
        if decision is Restart.NOW:
            try:
                self._testbed.restart(part)
            except OSError as error:  # no memory, no file: as if it had died again
                self._record("part-not-restarted", part=part.name, reason=str(error))
                return
            self._apply(lambda now: self._conditions.end(part.name, now), part.name)
        elif decision is Restart.GIVE_UP:
            self._given_up.add(part)
            self._record("part-given-up", part=part.name, reason=how)
            self._say(f"{part.name} is restarted no more: it keeps dying")
            self._on_give_up(part)

    def _router_died(self, part: Part, how: str) -> None:
        router = part.owner
        if router in self._testbed.failed_routers:
            return
        self._begin(_router_name(router), f"its {part.name.rpartition(' ')[2]} {how}", part)
        self._testbed.fail(Target(router, routers=(router,)))
        daemons = [each.name for each in self._parts if each.owner == router and each.kind is PartKind.ROUTER]
        self._apply(lambda now: [change for name in daemons for change in self._conditions.end(name, now)], *daemons)

    def _begin(self, name: str, how: str, part: Part) -> Time:
        """Record that a part is dead, once; returns since when."""
        now, log = _now(), str(part.log or self._output)
        with self._lock:
            for trouble in self._conditions.present:
                if trouble.part == name and trouble.condition is Condition.DEAD:
                    return trouble.since
            changes = self._conditions.begin(Trouble(name, Condition.DEAD, now, how, log))
        self._tell(changes)
        return now

    def _apply(self, change: Callable[[Time], list[Trouble]], *forgotten: str) -> None:
        with self._lock:
            changes = change(_now())
            self._conditions.forget(forgotten)
        self._tell(changes)

    def _observe(self) -> None:
        last, failure = _now(), ""
        while not self._stopping.wait(OBSERVE_S):
            now = _now()
            try:
                self._take_readings(last, now)
            except Exception as error:  # whatever it is, those that are well must go on being observed
                if str(error) != failure:
                    failure = str(error)
                    self._say(f"parts could not be observed: {type(error).__name__}: {error}")
            last = now

    def _take_readings(self, last: Time, now: Time) -> None:
        changes: list[Trouble] = []
        with self._lock:
            if (gap_s := now.seconds_since(last)) > PAUSED_AFTER_S:
                reason = f"did not run for {gap_s:.1f} s: it was stopped, or the machine was"
                changes += self._conditions.begin(Trouble(ITSELF, Condition.STALLED, last, reason))
                changes += self._conditions.end(ITSELF, now)
                self._conditions.forget([part.name for part in self._parts])  # nor did they, perhaps
            for part in self._parts:
                with suppress(OSError):  # it has ended, which the main thread notices
                    if (reading := read(part.pid)).state not in _ENDED:
                        changes += self._conditions.observe(part.name, reading, now, str(part.log or ""))
        self._tell(changes)

    def _tell(self, changes: list[Trouble]) -> None:
        for trouble in changes:
            is_dead, is_over = trouble.condition is Condition.DEAD, trouble.until is not None
            if is_over:
                event = RESTARTED if is_dead else f"part-no-longer-{trouble.condition.value}"
            else:
                event = f"part-{trouble.condition.value}"
            self._record(event, **trouble.facts(_now()))
            if is_dead:
                self._say(f"{trouble.part} was restarted" if is_over else f"{trouble.part} is dead: {trouble.reason}")


_ENDED = ("Z", "X")


def _router_name(router: str) -> str:
    return f"router {router}"


def read(pid: int) -> Reading:
    """Read the state and clocks of a process's first thread. Raises OSError where there is no such process."""
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][0]
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    return Reading(state, int(ran), int(waited))


def _now() -> Time:
    return Time(time.time_ns(), time.monotonic_ns())
