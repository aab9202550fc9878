"""When which switch gets which rules: a state machine without threads, sockets or clocks.

It is told what happens and what time it is, and answers with orders for switches and reports for
people. A change of paths goes make-before-break, so that no packet meets rules of two states: the new
labels everywhere, then routes and repairs over to them, then the labels that nobody uses away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from controller.core import Labels, assign_labels, core_rules, ingress_groups
from controller.edge import edge_rules
from controller.live import LiveNetwork
from controller.orders import Order, Program, Step, both, step
from controller.paths import Failures, compute_paths
from controller.rules import RuleSet
from policies.plan import Plan

SETTLE_S = 0.05  # changes that come together are answered together
ANSWER_S = 5.0  # a switch that has not done its part so long after it was asked is left behind
DRAIN_S = 0.5  # longer than any packet is under way in the core
PATIENCE_S = 3.0  # how long a change waits for switches that cannot take part in it yet, or not usefully
HELLO_S = 5.0  # how long a switch's ports have to hear their neighbours: BFD starts at a packet a second


class Phase(Enum):
    """Where a change of paths stands."""

    STEADY = "the paths fit the network"
    SETTLING = "something changed; waiting whether more does"
    ADDING = "the new labels are being installed everywhere"
    TURNING = "the routes and repairs are being turned over to the new labels"
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
    """Each router's rules for one state of the network."""

    failures: Failures
    labels: Labels
    rules: dict[str, RuleSet]


@dataclass
class Conductor:
    """The state machine. Times are seconds of any one clock."""

    plan: Plan
    live: LiveNetwork = field(init=False)
    phase: Phase = Phase.STEADY
    phase_ends: float | None = None

    def __post_init__(self) -> None:
        network = self.plan.network
        self.live = LiveNetwork(network)
        self.edge = edge_rules(self.plan)
        self.current = self._generation(Failures())
        self.next: _Generation | None = None
        self.steps: dict[str, Step] = {}  # from current to next
        self.waiting: dict[str, float] = {}  # routers being programmed, since when
        self.awaited: dict[str, Order] = {}  # orders the phase waits for, by router
        self.queued: list[Assignment] = []  # steps of a change that no switch has been asked for yet
        self.asked: Assignment | None = None  # the one that a switch is at
        self.answer_by: float | None = None  # when we give up on it
        self.began: float | None = None
        self.changed: float = 0.0
        self.all_reported = False
        self.hello_by: float | None = None  # when ports that are still coming are given up
        self.links_reported = False

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due, if it is."""
        moments = self.phase_ends, self.answer_by, self.hello_by
        return min((at for at in moments if at is not None), default=None)

    def _generation(self, failures: Failures, previous: Labels | None = None) -> _Generation:
        network, egresses = self.plan.network, self.plan.egresses
        paths = compute_paths(network, egresses, failures, self.plan.traffic)
        labels = assign_labels(paths, previous)
        core, ingress = core_rules(network, paths, labels), ingress_groups(network, egresses, paths, labels)
        rules = {router: core[router] + RuleSet(groups=ingress[router]) for router in core}
        return _Generation(failures, labels, rules)

    def program_of(self, router: str) -> Program:
        """All that a router is to hold at this moment, be it in the middle of a change."""
        paths = self.current.rules[router]
        if self.next is not None:
            coming = self.next.rules[router]
            paths = both(paths, coming) if self.phase is Phase.ADDING else both(coming, paths)
        return Program(self.edge[router] + paths)

    def joined(
        self, router: str, up_ports: frozenset[int], now: float, coming: frozenset[int] = frozenset()
    ) -> list[Output]:
        """A switch connected: it gets everything, and counts for paths once it has it. ``coming``: ports that have
        light and have not heard their neighbour yet."""
        self.began = now if self.began is None else self.began
        self.live.joined(router, up_ports, coming)
        self.hello_by = now + HELLO_S if self.live.coming else None
        self.waiting[router] = now
        program = self.program_of(router)
        if self.phase in (Phase.ADDING, Phase.TURNING):
            self.awaited[router] = program
            self.phase_ends = now + ANSWER_S
        self._forget(router)
        return [Report("switch-up", {"router": router}), Assignment(router, program), *self._noticed(now)]

    def left(self, router: str, now: float) -> list[Output]:
        """A switch's connection ended."""
        self.live.left(router)
        self.waiting.pop(router, None)
        self.awaited.pop(router, None)
        self._forget(router)
        return [Report("switch-down", {"router": router}), *self._noticed(now), *self._advanced(now)]

    def port_changed(self, router: str, port: int, up: bool, now: float) -> list[Output]:
        """A port is up or down: a switch says so again when something else about it changes."""
        news = self.live.port_changed(router, port, up)
        link = next((link for link, number in self.plan.network.ports[router].items() if number == port), None)
        if link is None or not news:
            return []
        details = {"router": router, "port": port, "link": link}
        return [Report("port-up" if up else "port-down", details), *self._all_links_up(now), *self._noticed(now)]

    def done(self, router: str, order: Order, now: float) -> list[Output]:
        """A switch has carried out an order."""
        outputs: list[Output] = []
        if isinstance(order, Program) and router in self.waiting:
            since = self.waiting.pop(router)
            self.live.programmed(router)
            size = {"flows": len(order.rules.flows), "groups": len(order.rules.groups)}
            outputs.append(Report("switch-programmed", {"router": router, **size, "seconds": round(now - since, 3)}))
            outputs += self._all_programmed(now)
            outputs += self._all_links_up(now)
            outputs += self._noticed(now)
        if self.awaited.get(router) is order:
            del self.awaited[router]
        if self.asked is not None and self.asked.order is order:
            self.asked = self.answer_by = None
        return outputs + self._advanced(now)

    def tick(self, now: float) -> list[Output]:
        """Time has passed; call at ``deadline``."""
        if self.answer_by is not None and now >= self.answer_by:
            return self._given_up(now)
        if self.hello_by is not None and now >= self.hello_by:
            self.live.none_is_coming()
            self.hello_by = None
            return self._noticed(now)
        if self.phase_ends is None or now < self.phase_ends:
            return []
        if self.phase is Phase.SETTLING:
            return self._settled(now)
        if self.phase is Phase.DRAINING:
            return self._drained(now)
        if self.asked is not None:  # its own deadline is still to come
            self.phase_ends = self.answer_by
            return []
        late = sorted(self.awaited)
        self.awaited.clear()
        return [Report("error", {"message": "no answer", "routers": late}), *self._advanced(now)]

    def _given_up(self, now: float) -> list[Output]:
        """The switch that was asked has not answered: the change goes on without it."""
        assert self.asked is not None
        late = self.asked.router
        self.awaited.pop(late, None)
        self._forget(late)
        return [Report("error", {"message": "no answer", "routers": [late]}), *self._advanced(now)]

    def _forget(self, router: str) -> None:
        """Ask nothing more of a router that is gone, or that gets everything anyway."""
        self.queued = [assignment for assignment in self.queued if assignment.router != router]
        if self.asked is not None and self.asked.router == router:
            self.asked = self.answer_by = None

    def _ask(self, now: float) -> list[Output]:
        """The next step of a change, to one switch at a time: a switch forwards and obeys in one thread, and
        all at it together would leave no core for the packets."""
        if self.asked is not None or not self.queued:
            return []
        self.asked, self.answer_by = self.queued.pop(0), now + ANSWER_S
        return [self.asked]

    def _all_programmed(self, now: float) -> list[Output]:
        if self.all_reported or len(self.live.ready) < len(self.plan.network.routers):
            return []
        self.all_reported = True
        programs = [self.program_of(router).rules for router in self.edge]
        seconds = round(now - (self.began or now), 3)
        flows, groups = sum(len(p.flows) for p in programs), sum(len(p.groups) for p in programs)
        return [Report("all-programmed", {"flows": flows, "groups": groups, "seconds": seconds})]

    def _all_links_up(self, now: float) -> list[Output]:
        """Once, when every link was first heard at both its ends."""
        if self.links_reported or not self.all_reported or self.live.coming or self.live.failures().links:
            return []
        self.links_reported = True
        return [Report("all-links-up", {"seconds": round(now - (self.began or now), 3)})]

    def _outdated(self) -> bool:
        """Whether the network is no longer what the paths were made for. A switch that only lost its
        controller is no reason to change paths: what it holds, it holds."""
        headless, now, then = self.live.headless(), self.live.failures(), self.current.failures
        return (now.links, now.routers - headless) != (then.links, then.routers - headless)

    def _more_is_coming(self) -> bool:
        """Whether a router that is back has not heard its neighbours yet, or a link that is back was heard at one of
        its ends only: the rest follows within a moment, and one change does for all."""
        before, now = self._unusable(self.current.failures), self._unusable(self.live.failures())
        return now == before or any(self.live.half_up(link) for link in before & now)

    def _unusable(self, failures: Failures) -> set[str]:
        """The links that cannot be used."""
        ends = {link for router in failures.routers for link in self.plan.network.ports[router]}
        return ends | failures.links

    def _noticed(self, now: float) -> list[Output]:
        """Starts a change where one is called for."""
        if self.phase is Phase.STEADY and self._outdated():
            self.phase, self.phase_ends, self.changed = Phase.SETTLING, now + SETTLE_S, now
        return []

    def _settled(self, now: float) -> list[Output]:
        if not self._outdated():
            return self._steady(now)
        if (self.live.headless() or self.waiting or self._more_is_coming()) and now < self.changed + PATIENCE_S:
            self.phase_ends = now + SETTLE_S
            return []
        old, self.next = self.current.rules, self._generation(self.live.failures(), self.current.labels)
        self.steps = {router: step(old[router], new) for router, new in self.next.rules.items()}
        return self._begin(Phase.ADDING, 0, now)

    def _orders(self, part: int) -> list[Assignment]:
        """One part of the step for every switch that has something to do in it."""
        orders = ((router, self.steps[router][part]) for router in sorted(self.live.up_ports))
        return [Assignment(router, order) for router, order in orders if len(order.rules)]

    def _begin(self, phase: Phase, part: int, now: float) -> list[Output]:
        assignments = self._orders(part)
        self.phase, self.phase_ends = phase, now + ANSWER_S
        self.queued += assignments
        self.awaited = {assignment.router: assignment.order for assignment in assignments}
        return self._advanced(now)

    def _advanced(self, now: float) -> list[Output]:
        """Asks the next switch, or goes on to the next phase where nobody's word is outstanding."""
        if self.awaited or self.next is None:
            return self._ask(now)
        if self.phase is Phase.ADDING:
            return self._begin(Phase.TURNING, 1, now)
        if self.phase is Phase.TURNING:
            self.phase, self.phase_ends = Phase.DRAINING, now + DRAIN_S
            details = {
                "links_down": sorted(self.next.failures.links),
                "routers_out": sorted(self.next.failures.routers),
                "rules": [sum(len(each[part].rules) for each in self.steps.values()) for part in range(3)],
                "seconds": round(now - self.changed, 3),
            }
            return [Report("paths-switched", details)]
        return self._ask(now)

    def _drained(self, now: float) -> list[Output]:
        assert self.next is not None
        self.current, self.next = self.next, None
        self.queued += self._orders(2)
        return [*self._ask(now), *self._steady(now)]

    def _steady(self, now: float) -> list[Output]:
        self.phase, self.phase_ends = Phase.STEADY, None
        return self._noticed(now)
