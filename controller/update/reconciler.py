"""When which switch gets which rules: a state machine without threads, sockets or clocks.

It is told what happens and what time it is, and answers with orders for switches and reports for people. What a
switch holds is read back before it is told anything, and it is sent the difference. A change of paths or policy
goes as a `Rollout`, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from helsewan.common.errors import InputError
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.openflow.pipeline import PipelineError
from helsewan.controller.rules.generation import CoreState, Generation, first_generation
from helsewan.controller.rules.numbering import renumbered
from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.audit import Audit, drift
from helsewan.controller.update.commands import (
    Assignment,
    Event,
    Output,
    Read,
    Refusal,
    Store,
    SwitchCommand,
    Update,
    Withdraw,
    updates,
)
from helsewan.controller.update.network_state import LiveNetwork
from helsewan.controller.update.policy_change import OURSELVES, ActivePolicy, Origin, PolicyChange, told_of
from helsewan.controller.update.rollout import Rollout, Stage
from helsewan.controller.update.rule_diff import Step, both, difference
from helsewan.policies.plan import Plan
from helsewan.topology.model import AccessLinkId, access_link_name

SETTLE_S = 0.2  # for changes that come together, and for the switches to repair what they can first (cf. RFC 8405)
ADOPTED = "adopted"  # the event of a start that goes on from what switches hold
PATIENCE_S = 3.0  # how long a change waits for switches that cannot take part in it yet, or not usefully
GATHER_S = 10.0  # how long a controller that starts waits for all switches to say what they hold, once one holds rules
HELLO_S = 5.0  # how long a switch's ports have to hear their neighbours: BFD starts at a packet a second


class Phase(Enum):
    """What the conductor is about."""

    GATHERING = "switches hold rules from before; waiting to see what all of them hold"
    STEADY = "the rules fit the network and the policy"
    SETTLING = "something changed; waiting whether more does"
    CHANGING = "a change is being rolled out"


@dataclass
class _Joining:
    """A switch on its way to what it is to hold: ``toward`` is what the orders that are left make of it."""

    since: float
    toward: RuleSet | None = None  # None: it was asked what it holds
    orders: list[Update] = field(default_factory=list)
    sent: int = 0  # entries


@dataclass
class Reconciler:
    """The state machine. Times are seconds of any one clock."""

    plan: Plan
    phase: Phase = Phase.STEADY
    phase_ends: float | None = None

    def __post_init__(self) -> None:
        network = self.plan.network
        self.live = LiveNetwork(network)
        self.current = first_generation(self.plan)
        self.next: Generation | None = None
        self.rollout: Rollout | None = None
        self.rollouts = 0
        self.announced = ""  # the event to report when the rollout has turned; none once that is done
        self.sizes: list[int] = []  # of the rollout
        self.joining: dict[str, _Joining] = {}
        self.gathered: dict[str, RuleSet] | None = {}  # what switches held at first; None once that is dealt with
        self.wanted: PolicyChange | None = None  # a policy to change to
        self.granted: PolicyChange | None = None  # what is being rolled out
        self.in_force = ActivePolicy(self.plan)
        self.withdrawal = OURSELVES  # who last took lines out of service, or gave them back
        self.impossible: object = None  # the failures of a change that was refused: not tried again
        self.audit = Audit(tuple(router.id for router in network.routers))
        self.began: float | None = None
        self.changed: float = 0.0
        self.all_reported = False
        self.hello_by: float | None = None  # when ports that are still coming are given up
        self.links_reported = False

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due, if it is."""
        times = [self.phase_ends, self.hello_by, self.rollout.deadline if self.rollout else self.audit.next_at]
        return min((at for at in times if at is not None), default=None)

    def target(self, router: str) -> RuleSet:
        """All that a router is to hold at this moment, be it in the middle of a change."""
        if self.next is None or self.rollout is None:
            return self.current.rules(router)
        old, new = self.current.rules(router), self.next.rules(router)
        if self.rollout.stage in (Stage.REMOVING, Stage.DONE):
            return new
        ahead = self.rollout.undoing or self.rollout.stage in (Stage.TURNING, Stage.DRAINING)
        return both(new, old) if ahead else both(old, new)

    def joined(
        self, router: str, up_ports: frozenset[int], now: float, coming: frozenset[int] = frozenset()
    ) -> list[Output]:
        """A switch connected: what it holds is read, and it counts for paths once it holds what it is to. ``coming``:
        ports that have light and have not heard their neighbour yet."""
        self.began = now if self.began is None else self.began
        again = router in self.live.up_ports
        self.live.joined(router, up_ports, coming)
        self.hello_by = now + HELLO_S if self.live.coming else None
        self.joining[router] = _Joining(now)
        outputs: list[Output] = [Event("switch-up", {"router": router}), Assignment(router, Read())]
        if self.rollout is not None and again:
            outputs += self._rolled(self.rollout.lost(router, now), now)
        if self.rollout is not None:
            self.rollout.rejoins(router, now)
        return outputs + self._noticed(now)

    def left(self, router: str, now: float) -> list[Output]:
        """A switch's connection ended."""
        self.live.left(router)
        self.joining.pop(router, None)
        if self.gathered is not None:
            self.gathered.pop(router, None)
        outputs: list[Output] = [Event("switch-down", {"router": router})]
        if self.rollout is not None:
            outputs += self._rolled(self.rollout.lost(router, now), now)
        return outputs + self._noticed(now)

    def port_changed(self, router: str, port: int, up: bool, now: float) -> list[Output]:
        """A port is up or down: a switch says so again when something else about it changes."""
        news = self.live.port_changed(router, port, up)
        network = self.plan.network
        names = {number: link for link, number in network.ports[router].items()}
        names |= {number: access_link_name(*line) for line, number in network.access_link_ports[router].items()}
        if port not in names or not news:
            return []
        details = {"router": router, "port": port, "link": names[port]}
        return [Event("port-up" if up else "port-down", details), *self._all_links_up(now), *self._noticed(now)]

    def change_plan(self, plan: Plan, now: float, origin: Origin | None = None) -> list[Output]:
        """Another policy for the same network is wanted; of several that come while one is under way the last. One that
        expects to take the place of another policy than it would is refused."""
        wish = PolicyChange(plan, origin or Origin())
        if plan.network != self.plan.network:
            return [wish.refused("it is made for another network"), Store(self.plan)]
        if wish.origin.expects and (self.wanted or self.granted):
            return [wish.refused("another policy is on its way", conflict=True)]
        if wish.origin.expects not in ("", self.in_force.version):
            return [wish.refused(f"the policy in force is {self.in_force.version} by now", conflict=True)]
        passed_over = [self.wanted.refused("another came after it")] if self.wanted is not None else []
        self.wanted = wish
        return [*passed_over, *self._noticed(now)]

    def withdraw(self, places: frozenset[str], now: float, origin: Origin) -> list[Output]:
        """From now on these links and PoPs, and no others, are out of service: paths take a link of theirs only where
        no other way leads."""
        if places == self.live.withdrawn:
            return []
        turn = {"before": sorted(self.live.withdrawn), "after": sorted(places)}
        self.live.withdrawn, self.withdrawal, self.impossible = places, origin, None
        return [Withdraw(places), Event("withdrawn", {**turn, **origin.told}), *self._noticed(now)]

    def holds(self, router: str, held: RuleSet, order: SwitchCommand, now: float) -> list[Output]:
        """A switch has said what it holds."""
        joining = self.joining.get(router)
        if joining is not None and joining.toward is None:
            return self._gather(router, held, now) if self.gathered is not None else self._bring(router, held, now)
        if not self.audit.answers(router, order):
            return []
        self.audit.rest(now)
        found = difference(held, self.target(router))
        if not len(found):
            self.audit.seen[router] = now
            return []
        self.joining[router] = _Joining(now)
        return [drift(router, found), *self._bring(router, held, now)]

    def counts(self, router: str, flows: int, order: SwitchCommand, now: float) -> list[Output]:
        """A switch has said how many flows it holds: where that is wrong it is asked for all."""
        if not self.audit.answers(router, order):
            return []
        self.audit.rest(now)
        return [] if flows == len(self.target(router).flows) else [self.audit.ask(router, Read(), now)]

    def done(self, router: str, order: SwitchCommand, now: float, refusal: Refusal | None = None) -> list[Output]:
        """A switch has carried out an order, or refused a part of it and so the whole."""
        joining = self.joining.get(router)
        if joining is not None and joining.orders and joining.orders[0] is order:
            return self._brought(router, joining, refusal, now)
        if self.rollout is None:
            return []
        return self._rolled(self.rollout.answered(router, order, refusal, now), now)

    def tick(self, now: float) -> list[Output]:
        """Time has passed; call at ``deadline``."""
        if self.hello_by is not None and now >= self.hello_by:
            self.live.none_is_coming()
            self.hello_by = None
            return self._noticed(now)
        if self.rollout is not None:
            return self._rolled(self.rollout.tick(now), now)
        if self.phase_ends is not None and now >= self.phase_ends:
            return self._adopt(now) if self.phase is Phase.GATHERING else self._settled(now)
        if self.phase is Phase.STEADY and self.audit.next_at is not None and now >= self.audit.next_at:
            return [*self.audit.look(frozenset(self.live.ready - self.joining.keys()), now)]
        return []

    # What a switch that joins holds, and is to hold

    def _gather(self, router: str, held: RuleSet, now: float) -> list[Output]:
        """At the start: a switch that holds nothing is programmed at once. Where one holds rules, another controller
        was here before: what all hold decides."""
        assert self.gathered is not None
        self.gathered[router] = held
        if len(held):
            self.live.none_is_coming(router)
        if self.phase is not Phase.GATHERING:
            if not len(held):
                self.gathered[router] = self.target(router)
                return self._bring(router, held, now)
            self.phase, self.phase_ends = Phase.GATHERING, now + GATHER_S
        whole = len(self.gathered) == len(self.plan.network.routers)
        return self._adopt(now) if whole else []

    def _adopt(self, now: float) -> list[Output]:
        """Goes on from what the switches hold, with their labels."""
        assert self.gathered is not None
        held, self.gathered = self.gathered, None
        intended = self.current.adopting(held, self.live.failures())
        nothing = {router: RuleSet() for router in intended.core}
        found = CoreState(intended.failures, intended.labels, nothing | held)
        self.current = Generation(self.plan, nothing, found, found)
        steps = {router: each for router, each in self.current.steps_to(intended).items() if router in held}
        known = [router for router, joining in self.joining.items() if joining.toward is None and router in held]
        since = {router: self.joining.pop(router).since for router in known}
        for router in known:
            self.live.programmed(router)
        self.changed = now
        outputs = self._roll_out(intended, steps, now, ADOPTED)
        for router in known:
            sent = sum(map(len, (steps[router].add, steps[router].turn, steps[router].remove)))
            outputs.append(self._programmed_report(router, sent, now - since[router]))
        return [*outputs, *self._all_programmed(now), *self._all_links_up(now)]

    def _bring(self, router: str, held: RuleSet, now: float) -> list[Output]:
        """To a switch the difference between what it holds and what it is to hold now."""
        joining = self.joining[router]
        joining.toward = self.target(router)
        change = difference(held, joining.toward)
        joining.orders, joining.sent = list(updates(change)), joining.sent + len(change)
        if not joining.orders:
            return self._programmed(router, now)
        return [Assignment(router, joining.orders[0])]

    def _brought(self, router: str, joining: _Joining, refusal: Refusal | None, now: float) -> list[Output]:
        order = joining.orders.pop(0)
        if refusal is not None:
            del self.joining[router]
            details = {"message": f"refused: {refusal.reason}", "router": router, "rule": refusal.rule}
            back = updates(order.difference.meters().inverse())
            return [Event("error", details), *(Assignment(router, each) for each in back)]
        if joining.orders:
            return [Assignment(router, joining.orders[0])]
        assert joining.toward is not None
        if len(difference(joining.toward, self.target(router))):  # a change went on meanwhile
            return self._bring(router, joining.toward, now)
        return self._programmed(router, now)

    def _programmed(self, router: str, now: float) -> list[Output]:
        """A switch holds what it is to hold."""
        joining = self.joining.pop(router)
        outputs: list[Output] = []
        if router in self.live.ready:
            outputs.append(Event("drift-repaired", {"router": router, "entries": joining.sent}))
        else:
            self.live.programmed(router)
            outputs.append(self._programmed_report(router, joining.sent, now - joining.since))
            outputs += [*self._all_programmed(now), *self._all_links_up(now)]
        if self.rollout is not None:
            outputs += self._rolled(self.rollout.rejoined(router, now), now)
        return outputs + self._noticed(now)

    def _programmed_report(self, router: str, changed: int, seconds: float) -> Event:
        rules = self.target(router)
        size = {"flows": len(rules.flows), "groups": len(rules.groups), "changed": changed}
        return Event("switch-programmed", {"router": router, **size, "seconds": round(seconds, 3)})

    def _all_programmed(self, now: float) -> list[Output]:
        if self.all_reported or len(self.live.ready) < len(self.plan.network.routers):
            return []
        self.all_reported, self.gathered = True, None
        self.audit.rest(now)
        programs = [self.target(router.id) for router in self.plan.network.routers]
        seconds = round(now - (self.began or now), 3)
        flows, groups = sum(len(p.flows) for p in programs), sum(len(p.groups) for p in programs)
        return [Event("all-programmed", {"flows": flows, "groups": groups, "seconds": seconds})]

    def _all_links_up(self, now: float) -> list[Output]:
        """Once, when every link was first heard at both its ends."""
        if self.links_reported or not self.all_reported or self.live.coming or self.live.failures().links:
            return []
        self.links_reported = True
        return [Event("all-links-up", {"seconds": round(now - (self.began or now), 3)})]

    # Changes of paths and policy

    def _outdated(self) -> bool:
        """Whether the network is no longer what the paths were made for. A switch that only lost its
        controller is no reason to change paths: what it holds, it holds."""
        headless, now, then = self.live.headless(), self.live.failures(), self.current.failures
        different = replace(now, routers=now.routers - headless) != replace(then, routers=then.routers - headless)
        return different and now != self.impossible

    def _more_is_coming(self) -> bool:
        """Whether a router that is back has not heard its neighbours yet, or a link that is back was heard at one of
        its ends only: the rest follows within a moment, and one change does for all."""
        if self.live.avoided() != self.current.failures.avoided:  # nothing that comes by itself
            return False
        before, now = self._unusable(self.current.failures), self._unusable(self.live.failures())
        network, back = self.plan.network, self.current.failures.routers - self.live.failures().routers
        awaited = {line for router in back for line in network.access_link_ports[router]}
        deaf = bool(back) and all(isinstance(each, tuple) for each in before ^ now)  # access lines hear no neighbour
        half_up = any(self.live.half_up(link) for link in before & now if isinstance(link, str))
        return now == before or deaf or half_up or bool(awaited & now)

    def _unusable(self, failures: Failures) -> set[str | AccessLinkId]:
        """The links and access lines that cannot be used."""
        network = self.plan.network
        links = {link for router in failures.routers for link in network.ports[router]}
        lines = {line for router in failures.routers for line in network.access_link_ports[router]}
        return links | lines | failures.links | failures.lines

    def _noticed(self, now: float) -> list[Output]:
        """Starts a change where one is called for."""
        if self.phase is Phase.STEADY and (self.wanted is not None or self._outdated()):
            self.phase, self.phase_ends, self.changed = Phase.SETTLING, now + SETTLE_S, now
        return []

    def _settled(self, now: float) -> list[Output]:
        if self.wanted is None and not self._outdated():
            return self._steady(now)
        unready = self.live.headless() or self.joining or (self._outdated() and self._more_is_coming())
        if unready and now < self.changed + PATIENCE_S:
            self.phase_ends = now + SETTLE_S
            return []
        wanted, self.wanted = self.wanted, None
        if wanted is not None and (headless := self.live.headless()):
            reason = f"without controller, and forwarding: {', '.join(sorted(headless))}"
            return [wanted.refused(reason), Store(self.plan), *self._steady(now)]
        failures = self.live.failures()
        try:
            new = self.current if failures == self.current.failures else self.current.with_paths(failures)
            new = new if wanted is None else new.with_plan(renumbered(wanted.plan, self.plan))
        except (PipelineError, InputError) as error:
            if wanted is not None:
                return [wanted.refused(str(error)), Store(self.plan), *self._steady(now)]
            self.impossible = failures
            details = {"policy": self.plan.policy, "reason": str(error), **told_of(failures)}
            return [Event("paths-refused", details), *self._steady(now)]
        self.granted = wanted
        return self._roll_out(new, self.current.steps_to(new), now, "policy-switched" if wanted else "paths-switched")

    def _roll_out(self, new: Generation, steps: dict[str, Step], now: float, event: str) -> list[Output]:
        """Begins a change from the current generation to ``new``; ``event`` is reported when it has turned."""
        self.phase, self.phase_ends, self.gathered = Phase.CHANGING, None, None
        self.audit.rest(now)
        policy = new.plan is not self.current.plan
        self.rollouts += 2  # undoing takes a number too
        self.next, self.announced = new, event
        self.rollout = Rollout(
            steps,
            self.live.up_ports,
            self.rollouts,
            strict=policy,
            undoable=event != ADOPTED,
            at_turn=(Store(new.plan),) if policy else (),
            at_return=(Store(self.current.plan),) if policy else (),
        )
        self.sizes = self.rollout.sizes
        for router in self.joining:
            self.rollout.rejoins(router, now)
        return self._rolled(self.rollout.begin(now), now)

    def _rolled(self, outputs: list[Output], now: float) -> list[Output]:
        """Follows the rollout after each of its moves."""
        rollout, new = self.rollout, self.next
        assert rollout is not None and new is not None
        if rollout.undoing and self.announced:
            self.announced = ""
            self.current, self.next = new, self.current
        if self.announced and rollout.stage in (Stage.DRAINING, Stage.REMOVING, Stage.DONE):
            outputs = [*outputs, self._turned(new, now)]
            self.announced = ""
        return [*outputs, *self._finished(rollout, now)] if rollout.stage is Stage.DONE else outputs

    def _turned(self, new: Generation, now: float) -> Event:
        told = {"policy": new.plan.policy, **told_of(new.failures), "rules": self.sizes}
        told["seconds"] = round(now - self.changed, 3)
        if self.granted is not None:
            before, self.in_force = self.in_force, ActivePolicy(new.plan, self.in_force.number + 1)
            told |= {**self.granted.origin.told, "before": before.told, "after": self.in_force.told}
        else:
            by = self.withdrawal if new.failures.avoided != self.current.failures.avoided else OURSELVES
            told |= {**by.told, "before": told_of(self.current.failures), "after": told_of(new.failures)}
        return Event(self.announced, told)

    def _finished(self, rollout: Rollout, now: float) -> list[Output]:
        """All that could be told hold the next generation, or, where one refused, the one before again."""
        assert self.next is not None
        given_up, self.current, self.next, self.rollout = self.current, self.next, None, None
        wish, self.granted = self.granted, None
        self.plan = self.current.plan
        outputs: list[Output] = []
        if rollout.undoing and rollout.refused is not None:
            router, refusal = rollout.refused
            self.impossible = given_up.failures if given_up.failures != self.current.failures else None
            details = {"router": router, "rule": refusal.rule}
            if wish is not None:
                outputs.append(wish.refused(refusal.reason, **details))
            else:
                details |= {"policy": self.plan.policy, "reason": refusal.reason}
                outputs.append(Event("paths-refused", {**details, **told_of(given_up.failures)}))
        return [*outputs, *self._steady(now)]

    def _steady(self, now: float) -> list[Output]:
        self.phase, self.phase_ends = Phase.STEADY, None
        self.audit.rest(now)
        return self._noticed(now)
