"""Decides when which switch gets which rules: a state machine without threads, sockets or clocks.

Input: what happens (`joined`, `left`, `port_changed`, `change_plan`, `withdraw`, `holds`, `counts`, `done`, `tick`)
and the time. Output: commands for switches, events to report, and what to store. The parts: `joining` (switches that
connect), `policy_update` (changes of policy), `path_update` (changes of paths), `generation_update` (the change that
is rolled out, one at a time), `audit` (switches that are programmed).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from helsewan.common.errors import InputError
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.openflow.pipeline import PipelineError
from helsewan.controller.rules.generation import CoreState, Generation, first_generation
from helsewan.controller.rules.numbering import renumbered
from helsewan.controller.update.audit import Audit, drift
from helsewan.controller.update.commands import Event, Output, Read, Refusal, SwitchCommand
from helsewan.controller.update.generation_update import GenerationUpdate, entries
from helsewan.controller.update.joining import JoiningSwitches
from helsewan.controller.update.network_state import LiveNetwork
from helsewan.controller.update.path_update import PathUpdate
from helsewan.controller.update.policy_change import ActivePolicy, Origin, PolicyChange, describe_failures
from helsewan.controller.update.policy_update import PolicyUpdate, refused
from helsewan.controller.update.rollout import Rollout, Stage
from helsewan.controller.update.rule_diff import Step, difference
from helsewan.policies.plan import Plan
from helsewan.topology.model import access_link_name

SETTLE_S = 0.2  # to collect changes that come together, while switches repair locally (cf. RFC 8405)
ADOPTED = "adopted"  # the event of a start that continues with the rules that switches hold
PATIENCE_S = 3.0  # how long a change waits for switches and links that are still coming up
GATHER_S = 10.0  # how long a starting controller waits for all switches' tables, once one was found to hold rules
HELLO_S = 5.0  # how long BFD sessions have to come up: they start at a packet a second (RFC 5880, 6.8.3)


class Phase(Enum):
    """What the reconciler is doing."""

    GATHERING = "switches hold rules from before; waiting to see what all of them hold"
    STEADY = "the rules fit the network and the policy"
    SETTLING = "something changed; waiting whether more does"
    CHANGING = "a change is being rolled out"


class Trigger(Enum):
    """What leads from one phase to another."""

    RULES_FOUND = "a switch that connected at the start holds rules"
    CHANGE_NEEDED = "a policy was requested, or the paths no longer fit the network"
    NOT_READY = "a switch or link that matters for the change is still expected"
    NOT_CHANGED = "the change is no longer needed, or was refused before it began"
    ROLLOUT_BEGINS = "the new rules are computed, or the gathered ones adopted"
    ROLLOUT_ENDS = "every reachable switch has completed its part, or the change is undone"


TRANSITIONS = {
    Phase.STEADY: {Trigger.RULES_FOUND: Phase.GATHERING, Trigger.CHANGE_NEEDED: Phase.SETTLING},
    Phase.GATHERING: {Trigger.ROLLOUT_BEGINS: Phase.CHANGING},
    Phase.SETTLING: {
        Trigger.RULES_FOUND: Phase.GATHERING,
        Trigger.NOT_READY: Phase.SETTLING,
        Trigger.NOT_CHANGED: Phase.STEADY,
        Trigger.ROLLOUT_BEGINS: Phase.CHANGING,
    },
    Phase.CHANGING: {Trigger.ROLLOUT_ENDS: Phase.STEADY},
}


@dataclass
class Reconciler:
    """The state machine. Times are seconds of any one clock."""

    plan: Plan
    phase: Phase = Phase.STEADY
    phase_ends: float | None = None

    def __post_init__(self) -> None:
        network = self.plan.network
        self.live = LiveNetwork(network)
        self.update = GenerationUpdate(first_generation(self.plan))
        self.joining = JoiningSwitches(self.live, self.target)
        self.policy = PolicyUpdate(ActivePolicy(self.plan))
        self.paths = PathUpdate(self.live)
        self.audit = Audit(tuple(router.id for router in network.routers))
        self.changed: float = 0.0  # when the need for the latest change was noticed
        self.hello_by: float | None = None  # when ports that still await BFD count as down

    @property
    def current(self) -> Generation:
        """The rules in use."""
        return self.update.current

    @property
    def rollout(self) -> Rollout | None:
        """The rollout in progress, if any."""
        return self.update.rollout

    @property
    def active_policy(self) -> ActivePolicy:
        """The policy in force."""
        return self.policy.active

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due, if it is."""
        times = [self.phase_ends, self.hello_by, self.rollout.deadline if self.rollout else self.audit.next_at]
        return min((at for at in times if at is not None), default=None)

    def target(self, router: str) -> RuleSet:
        """All entries that a router is to hold at this time, also in the middle of a change."""
        return self.update.target(router)

    # Inputs

    def joined(
        self, router: str, up_ports: frozenset[int], now: float, awaiting_bfd: frozenset[int] = frozenset()
    ) -> list[Output]:
        """A switch connected: its tables are read, and paths use it once it holds its target. ``awaiting_bfd``: its
        ports with carrier whose BFD session is not up yet."""
        again = router in self.live.up_ports
        self.live.joined(router, up_ports, awaiting_bfd)
        self.hello_by = now + HELLO_S if self.live.awaiting_bfd else None
        outputs: list[Output] = [Event("switch-up", {"router": router}), self.joining.connected(router, now)]
        if self.rollout is not None and again:
            outputs += self._rolled(self.rollout.lost(router, now), now)
        if self.rollout is not None:
            self.rollout.rejoins(router, now)
        return outputs + self._noticed(now)

    def left(self, router: str, now: float) -> list[Output]:
        """A switch's connection ended."""
        self.live.left(router)
        self.joining.disconnected(router)
        outputs: list[Output] = [Event("switch-down", {"router": router})]
        if self.rollout is not None:
            outputs += self._rolled(self.rollout.lost(router, now), now)
        return outputs + self._noticed(now)

    def port_changed(self, router: str, port: int, up: bool, now: float) -> list[Output]:
        """A switch reported a port up or down; it also reports when something else about the port changes."""
        changed = self.live.port_changed(router, port, up)
        network = self.plan.network
        names = {number: link for link, number in network.ports[router].items()}
        names |= {number: access_link_name(*each) for each, number in network.access_link_ports[router].items()}
        if port not in names or not changed:
            return []
        details = {"router": router, "port": port, "link": names[port]}
        report = Event("port-up" if up else "port-down", details)
        return [report, *self.joining.all_links_up(now), *self._noticed(now)]

    def change_plan(self, plan: Plan, now: float, origin: Origin | None = None) -> list[Output]:
        """Another policy for the same network is requested."""
        change = PolicyChange(plan, origin or Origin())
        objection = self.policy.objection(change, self.plan)
        return objection or [*self.policy.request(change), *self._noticed(now)]

    def withdraw(self, places: frozenset[str], now: float, origin: Origin) -> list[Output]:
        """From now on these links and PoPs, and no others, are out of service: paths use their links only where there
        is no other path."""
        outputs = self.paths.withdraw(places, origin)
        return [*outputs, *self._noticed(now)] if outputs else []

    def holds(self, router: str, held: RuleSet, command: SwitchCommand, now: float) -> list[Output]:
        """A switch has reported its tables."""
        if self.joining.is_being_read(router):
            gathering = self.joining.gathered
            return self._program(router, held, now) if gathering is None else self._gather(router, held, gathering, now)
        if not self.audit.answers(router, command):
            return []
        self.audit.pause(now)
        found = difference(held, self.target(router))
        if not len(found):
            self.audit.verified_at[router] = now
            return []
        self.joining.deviates(router, now)
        return [drift(router, found), *self._program(router, held, now)]

    def counts(self, router: str, flows: int, command: SwitchCommand, now: float) -> list[Output]:
        """A switch has reported its number of flows; where it differs from the target, its tables are read."""
        if not self.audit.answers(router, command):
            return []
        self.audit.pause(now)
        return [] if flows == len(self.target(router).flows) else [self.audit.request(router, Read(), now)]

    def done(self, router: str, command: SwitchCommand, now: float, refusal: Refusal | None = None) -> list[Output]:
        """A switch has carried out a command, or (``refusal``) refused a rule of it and so applied none."""
        if self.joining.awaits(router, command):
            outputs = self.joining.answered(router, refusal)
            return outputs or self._programmed(router, now)
        if self.rollout is None:
            return []
        return self._rolled(self.rollout.answered(router, command, refusal, now), now)

    def tick(self, now: float) -> list[Output]:
        """Time has passed; call at ``deadline``."""
        if self.hello_by is not None and now >= self.hello_by:
            self.live.expire_awaited()
            self.hello_by = None
            return self._noticed(now)
        if self.rollout is not None:
            return self._rolled(self.rollout.tick(now), now)
        if self.phase_ends is not None and now >= self.phase_ends:
            return self._adopt(now) if self.phase is Phase.GATHERING else self._settled(now)
        if self.phase is Phase.STEADY and self.audit.next_at is not None and now >= self.audit.next_at:
            return [*self.audit.next_check(frozenset(self.live.ready - self.joining.switches.keys()), now)]
        return []

    # Phases

    def _enter(self, trigger: Trigger, ends: float | None = None) -> None:
        """Follows the transition table; the phase lasts until ``ends``, if that is known. Raises KeyError where the
        table has no such transition."""
        self.phase, self.phase_ends = TRANSITIONS[self.phase][trigger], ends

    def _noticed(self, now: float) -> list[Output]:
        """Begins to settle where a change is needed."""
        if self.phase is Phase.STEADY and self._change_needed():
            self._enter(Trigger.CHANGE_NEEDED, now + SETTLE_S)
            self.changed = now
        return []

    def _change_needed(self) -> bool:
        return self.policy.requested is not None or self.paths.outdated(self.current.failures)

    def _steady(self, trigger: Trigger, now: float) -> list[Output]:
        self._enter(trigger)
        self.audit.pause(now)
        return self._noticed(now)

    # Joining switches

    def _gather(self, router: str, held: RuleSet, gathered: dict[str, RuleSet], now: float) -> list[Output]:
        """Handles tables read at the start. A switch that holds nothing is programmed at once. Where one holds rules,
        another controller programmed the network before: all tables are gathered before any is changed."""
        gathered[router] = held
        if len(held):
            self.live.expire_awaited(router)
        if self.phase is not Phase.GATHERING:
            if not len(held):
                gathered[router] = self.target(router)
                return self._program(router, held, now)
            self._enter(Trigger.RULES_FOUND, now + GATHER_S)
        whole = len(gathered) == len(self.plan.network.routers)
        return self._adopt(now) if whole else []

    def _adopt(self, now: float) -> list[Output]:
        """Continues with the rules that the switches hold, and the labels in them."""
        assert self.joining.gathered is not None
        held = self.joining.gathered
        intended = self.current.with_installed_labels(held, self.live.failures())
        nothing = {router: RuleSet() for router in intended.core}
        found = CoreState(intended.failures, intended.labels, nothing | held)
        self.update.current = Generation(self.plan, nothing, found, found)
        steps = {router: each for router, each in self.current.steps_to(intended).items() if router in held}
        since = self.joining.adopt(held)
        self.changed = now
        outputs = self._roll_out(intended, steps, now, ADOPTED)
        outputs += [self.joining.report(router, entries(steps, router), now - at) for router, at in since.items()]
        return [*outputs, *self.joining.milestones(now)]

    def _program(self, router: str, held: RuleSet, now: float) -> list[Output]:
        """Sends a switch the difference between its entries and its target."""
        return self.joining.program(router, held) or self._programmed(router, now)

    def _programmed(self, router: str, now: float) -> list[Output]:
        """A switch holds its target."""
        began = self.joining.all_reported
        outputs = self.joining.programmed(router, now)
        if self.joining.all_reported and not began:
            self.audit.pause(now)
        if self.rollout is not None:
            outputs += self._rolled(self.rollout.rejoined(router, now), now)
        return outputs + self._noticed(now)

    # Changes of paths and policy

    def _settled(self, now: float) -> list[Output]:
        """Computes the rules that fit the network and the policy, and begins to roll them out."""
        if not self._change_needed():
            return self._steady(Trigger.NOT_CHANGED, now)
        current = self.current
        awaited = self.paths.outdated(current.failures) and self.paths.more_expected(current.failures)
        if (self.live.headless() or self.joining.switches or awaited) and now < self.changed + PATIENCE_S:
            self._enter(Trigger.NOT_READY, now + SETTLE_S)
            return []
        change = self.policy.take()
        if change is not None and (headless := self.live.headless()):
            reason = f"not connected, and still forwarding: {', '.join(sorted(headless))}"
            return [*refused(change, reason, self.plan), *self._steady(Trigger.NOT_CHANGED, now)]
        failures = self.live.failures()
        try:
            new = current if failures == current.failures else current.with_paths(failures)
            new = new if change is None else new.with_plan(renumbered(change.plan, self.plan))
        except (PipelineError, InputError) as error:
            if change is not None:
                return [*refused(change, str(error), self.plan), *self._steady(Trigger.NOT_CHANGED, now)]
            self.paths.impossible = failures
            report = self.paths.refused(self.plan.policy, str(error), failures)
            return [report, *self._steady(Trigger.NOT_CHANGED, now)]
        self.policy.rolling_out = change
        return self._roll_out(new, current.steps_to(new), now, "policy-switched" if change else "paths-switched")

    def _roll_out(self, new: Generation, steps: dict[str, Step], now: float, event: str) -> list[Output]:
        """Begins a change from the current generation to ``new``; ``event`` is reported when it takes effect."""
        self._enter(Trigger.ROLLOUT_BEGINS)
        self.joining.gathered = None
        self.audit.pause(now)
        rollout = self.update.prepare(new, steps, self.live.up_ports, event, undoable=event != ADOPTED)
        for router in self.joining.switches:
            rollout.rejoins(router, now)
        return self._rolled(rollout.begin(now), now)

    def _rolled(self, outputs: list[Output], now: float) -> list[Output]:
        """Follows the rollout after each of its steps."""
        event = self.update.follow()
        if event:
            outputs = [*outputs, self._took_effect(event, now)]
        assert self.rollout is not None
        return [*outputs, *self._finished(self.rollout, now)] if self.rollout.stage is Stage.DONE else outputs

    def _took_effect(self, event: str, now: float) -> Event:
        new, old = self.update.next, self.current
        assert new is not None
        details = {"policy": new.plan.policy, **describe_failures(new.failures), "rules": self.update.sizes}
        details["seconds"] = round(now - self.changed, 3)
        if self.policy.rolling_out is not None:
            return Event(event, details | self.policy.took_effect(new.plan))
        return Event(event, details | self.paths.took_effect(old.failures, new.failures))

    def _finished(self, rollout: Rollout, now: float) -> list[Output]:
        """All reachable switches hold the next generation, or, after a refusal, the previous one again."""
        replaced = self.update.finish()
        change = self.policy.finish()
        self.plan = self.current.plan
        outputs: list[Output] = []
        if rollout.undoing and rollout.refused is not None:
            router, refusal = rollout.refused
            self.paths.impossible = replaced.failures if replaced.failures != self.current.failures else None
            details = {"router": router, "rule": refusal.rule}
            if change is not None:
                outputs.append(change.refused(refusal.reason, **details))
            else:
                outputs.append(self.paths.refused(self.plan.policy, refusal.reason, replaced.failures, **details))
        return [*outputs, *self._steady(Trigger.ROLLOUT_ENDS, now)]
