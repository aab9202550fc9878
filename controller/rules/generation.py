"""Each router's rules for one policy and one state of the network.

What the intact network needs in the core stays in the switches when something fails, beside what is used meanwhile: a
failure is mended sooner or later, and then nothing is to be computed or installed before traffic goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.access_rules import access_rules, turned_routes
from helsewan.controller.rules.label_rules import Labels, assign_labels, ingress_groups, label_rules
from helsewan.controller.rules.paths import Failures, compute_paths
from helsewan.controller.update.recovery import labels_held, labels_not_held
from helsewan.controller.update.rule_diff import Step, both, step
from helsewan.policies.plan import Plan
from helsewan.topology.model import AccessLinkId

_INTACT = Failures()


@dataclass(frozen=True)
class CoreState:
    """The core's rules, by router, for one state of the network."""

    failures: Failures
    labels: Labels
    rules: dict[str, RuleSet]


@dataclass(frozen=True)
class Generation:
    """The rules, by router: ``edge`` follows from the plan, the core's from plan and state, ``intact`` and ``now``, and
    ``turned``, routes that come before the plan's, from plan and access lines that are down, ``lines``."""

    plan: Plan
    edge: dict[str, RuleSet]
    intact: CoreState
    now: CoreState
    lines: frozenset[AccessLinkId] = frozenset()
    turned: dict[str, RuleSet] = field(default_factory=dict)

    @property
    def failures(self) -> Failures:
        """The state of the network that packets are led by."""
        return replace(self.now.failures, lines=self.lines)

    @property
    def labels(self) -> Labels:
        """The labels that packets get."""
        return self.now.labels

    @cached_property
    def core(self) -> dict[str, RuleSet]:
        """What each router holds that hangs on the network's state."""
        core = self.now.rules
        if self.now is not self.intact:
            core = {router: both(rules, self.intact.rules[router]) for router, rules in core.items()}
        return {router: rules + self.turned[router] for router, rules in core.items()} if self.turned else core

    def rules(self, router: str) -> RuleSet:
        """All that a router is to hold."""
        return self.edge[router] + self.core[router]

    def steps_to(self, new: Generation) -> dict[str, Step]:
        """What leads each router to a new generation. What is the same object is not compared."""
        return {
            router: step(self.core[router], new.core[router])
            if self.edge[router] is new.edge[router]
            else step(self.rules(router), new.rules(router))
            for router in new.core
        }

    def with_plan(self, plan: Plan) -> Generation:
        """The same state of the network under another policy. Raises PipelineError where a number does not fit and
        InputError when there are no labels left."""
        edge = access_rules(plan)
        kept = {router: old if old == edge[router] else edge[router] for router, old in self.edge.items()}
        if (plan.egresses, plan.traffic) == (self.plan.egresses, self.plan.traffic):
            return replace(self, plan=plan, edge=kept, turned=turned_routes(plan, self.lines))
        intact = _state(plan, _INTACT, self.intact.labels, self.now.labels)
        return Generation(plan, kept, intact, intact)._in(self.failures, self.now.labels, self.intact.labels)

    def with_paths(self, failures: Failures) -> Generation:
        """The same policy in another state of the network, going on with the labels there are.

        Raises InputError when there are no labels left."""
        if failures.of_core == self.now.failures:
            return replace(self, lines=failures.lines, turned=turned_routes(self.plan, failures.lines))
        return self._in(failures, self.now.labels)

    def adopting(self, held: Mapping[str, RuleSet], failures: Failures) -> Generation:
        """The same policy in a state of the network, as far as can be with the labels that switches hold."""
        network, fresh = self.plan.network, self.with_paths(failures)
        known = labels_held(network, fresh.labels, fresh.now.rules, held)
        if failures.of_core == _INTACT:
            intact = _state(self.plan, _INTACT, known)
        else:
            intact = _state(self.plan, _INTACT, labels_not_held(self.intact.labels, known), known)
        return replace(self, intact=intact, now=intact)._in(failures, known)

    def _in(self, failures: Failures, *known: Labels) -> Generation:
        led, core = (
            replace(self, lines=failures.lines, turned=turned_routes(self.plan, failures.lines)),
            failures.of_core,
        )
        if core == _INTACT:
            return replace(led, now=self.intact)
        return replace(led, now=_state(self.plan, core, self.intact.labels, *known))


def first_generation(plan: Plan) -> Generation:
    """The rules of a network in which nothing has failed yet."""
    intact = _state(plan, _INTACT)
    return Generation(plan, access_rules(plan), intact, intact)


def _state(plan: Plan, failures: Failures, *known: Labels) -> CoreState:
    """What follows from the network's state."""
    network, egresses = plan.network, plan.egresses
    paths = compute_paths(network, egresses, failures, plan.traffic)
    labels = assign_labels(paths, *known)
    core, ingress = label_rules(network, paths, labels), ingress_groups(network, egresses, paths, labels)
    return CoreState(failures, labels, {router: core[router] + RuleSet(groups=ingress[router]) for router in core})
