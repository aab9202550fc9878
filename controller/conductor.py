"""When which switch gets which rules: a state machine without threads, sockets or clocks.

It is told what happens and what time it is, and answers with orders for switches and reports for
people. A change of paths goes make-before-break, so that no packet meets rules of two states: the new
labels everywhere, then the routes over to them, then the old labels away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from controller.core import LABEL_SET_MASK, LabelSet, core_rules, ingress_groups
from controller.edge import edge_rules
from controller.live import LiveNetwork
from controller.orders import Add, Order, Program, Remove, Turn
from controller.paths import Failures, compute_paths
from controller.rules import GroupRule, RuleSet
from policies.plan import Plan

SETTLE_S = 0.05  # changes that come together are answered together
ANSWER_S = 5.0  # a switch that has not done its part by then is left behind
DRAIN_S = 0.5  # longer than any packet is under way in the core
HEADLESS_S = 3.0  # how long paths wait for a switch that forwards on without us


class Phase(Enum):
    """Where a change of paths stands."""

    STEADY = "the paths fit the network"
    SETTLING = "something changed; waiting whether more does"
    ADDING = "the new labels are being installed everywhere"
    TURNING = "the routes are being turned over to the new labels"
    DRAINING = "packets under the old labels are still on their way"


@dataclass(frozen=True, slots=True)
class Assignment:
    """An order for one router."""

    router: str
    order: Order


@dataclass(frozen=True, slots=True)
class Report:
    """Something worth telling people."""

    event: str
    details: dict[str, Any]


Output = Assignment | Report


@dataclass(frozen=True)
class _Generation:
    """The rules for one state of the network under one set of labels."""

    labels: LabelSet
    failures: Failures
    core: dict[str, RuleSet]
    ingress: dict[str, tuple[GroupRule, ...]]


@dataclass
class Conductor:
    """The state machine. Times are seconds of any one clock."""

    plan: Plan
    live: LiveNetwork = field(init=False)
    phase: Phase = Phase.STEADY
    deadline: float | None = None

    def __post_init__(self) -> None:
        network = self.plan.network
        self.live = LiveNetwork(network)
        self.edge = {router.id: edge_rules(self.plan, router.id) for router in network.routers}
        self.current = self._generation(LabelSet(0), Failures())
        self.next: _Generation | None = None
        self.waiting: dict[str, float] = {}  # routers being programmed, since when
        self.awaited: set[str] = set()  # routers whose word the phase waits for
        self.began: float | None = None
        self.changed: float = 0.0
        self.all_reported = False

    def _generation(self, labels: LabelSet, failures: Failures) -> _Generation:
        network, egresses = self.plan.network, self.plan.egresses
        paths = compute_paths(network, egresses, failures)
        ingress = ingress_groups(network, egresses, paths, labels)
        return _Generation(labels, failures, core_rules(network, paths, labels), ingress)

    def program_of(self, router: str) -> Program:
        """All that a router holds at this moment of the change, if any."""
        core = self.current.core[router]
        if self.next is not None:
            core += self.next.core[router]
        turned = self.next if self.next is not None and self.phase is not Phase.ADDING else self.current
        return Program(self.edge[router] + core + RuleSet(groups=turned.ingress[router]))

    def joined(self, router: str, up_ports: frozenset[int], now: float) -> list[Output]:
        """A switch connected: it gets everything, and counts for paths once it has it."""
        self.began = now if self.began is None else self.began
        self.live.joined(router, up_ports)
        self.waiting[router] = now
        if self.phase in (Phase.ADDING, Phase.TURNING):
            self.awaited.add(router)
        return [
            Report("switch-up", {"router": router}),
            Assignment(router, self.program_of(router)),
            *self._noticed(now),
        ]

    def left(self, router: str, now: float) -> list[Output]:
        """A switch's connection ended."""
        self.live.left(router)
        self.waiting.pop(router, None)
        self.awaited.discard(router)
        return [Report("switch-down", {"router": router}), *self._noticed(now), *self._advanced(now)]

    def port_changed(self, router: str, port: int, up: bool, now: float) -> list[Output]:
        """A port went up or down."""
        self.live.port_changed(router, port, up)
        link = next((link for link, number in self.plan.network.ports[router].items() if number == port), None)
        if link is None:
            return []
        details = {"router": router, "port": port, "link": link}
        return [Report("port-up" if up else "port-down", details), *self._noticed(now)]

    def done(self, router: str, order: Order, now: float) -> list[Output]:
        """A switch has carried out an order."""
        outputs: list[Output] = []
        if isinstance(order, Program) and router in self.waiting:
            since = self.waiting.pop(router)
            self.live.programmed(router)
            size = {"flows": len(order.rules.flows), "groups": len(order.rules.groups)}
            outputs.append(Report("switch-programmed", {"router": router, **size, "seconds": round(now - since, 3)}))
            outputs += self._all_programmed(now)
            outputs += self._noticed(now)
        self.awaited.discard(router)
        return outputs + self._advanced(now)

    def tick(self, now: float) -> list[Output]:
        """Time has passed; call at ``deadline``."""
        if self.deadline is None or now < self.deadline:
            return []
        if self.phase is Phase.SETTLING:
            return self._settled(now)
        if self.phase is Phase.DRAINING:
            return self._drained(now)
        late = sorted(self.awaited)
        self.awaited.clear()
        return [Report("error", {"message": "no answer", "routers": late}), *self._advanced(now)]

    def _all_programmed(self, now: float) -> list[Output]:
        if self.all_reported or len(self.live.ready) < len(self.plan.network.routers):
            return []
        self.all_reported = True
        programs = [self.program_of(router).rules for router in self.edge]
        seconds = round(now - (self.began or now), 3)
        flows, groups = sum(len(p.flows) for p in programs), sum(len(p.groups) for p in programs)
        return [Report("all-programmed", {"flows": flows, "groups": groups, "seconds": seconds})]

    def _noticed(self, now: float) -> list[Output]:
        """Starts a change where the network is no longer what the paths were made for."""
        if self.phase is Phase.STEADY and self.live.failures() != self.current.failures:
            self.phase, self.deadline, self.changed = Phase.SETTLING, now + SETTLE_S, now
        return []

    def _settled(self, now: float) -> list[Output]:
        failures = self.live.failures()
        if failures == self.current.failures:
            return self._steady(now)
        if self.live.headless() and now < self.changed + HEADLESS_S:
            self.deadline = min(now + SETTLE_S, self.changed + HEADLESS_S)
            return []
        self.next = self._generation(self.current.labels.other, failures)
        core = self.next.core
        return self._begin(Phase.ADDING, now, ((router, Add(core[router])) for router in sorted(self.live.ready)))

    def _begin(self, phase: Phase, now: float, orders: Iterable[tuple[str, Order]]) -> list[Output]:
        assignments = [Assignment(router, order) for router, order in orders]
        self.phase, self.deadline = phase, now + ANSWER_S
        self.awaited = {assignment.router for assignment in assignments} | set(self.waiting)
        return [*assignments, *self._advanced(now)]

    def _advanced(self, now: float) -> list[Output]:
        """Goes on to the next phase where nobody's word is outstanding."""
        if self.awaited or self.next is None:
            return []
        if self.phase is Phase.ADDING:
            ingress = self.next.ingress
            return self._begin(
                Phase.TURNING, now, ((router, Turn(ingress[router])) for router in sorted(self.live.ready))
            )
        if self.phase is Phase.TURNING:
            self.phase, self.deadline = Phase.DRAINING, now + DRAIN_S
            details = {
                "links_down": sorted(self.next.failures.links),
                "routers_out": sorted(self.next.failures.routers),
                "seconds": round(now - self.changed, 3),
            }
            return [Report("paths-switched", details)]
        return []

    def _drained(self, now: float) -> list[Output]:
        assert self.next is not None
        old, self.current, self.next = self.current, self.next, None
        removals = [
            Assignment(
                router,
                Remove(old.labels.cookie, LABEL_SET_MASK, tuple(group.id for group in old.core[router].groups)),
            )
            for router in sorted(self.live.up_ports)
        ]
        return [*removals, *self._steady(now)]

    def _steady(self, now: float) -> list[Output]:
        self.phase, self.deadline = Phase.STEADY, None
        return self._noticed(now)
