"""Each router's rules for one policy and one state of the network.

During a failure, the core rules of the intact network stay installed beside those in use, so that nothing has to be
computed or installed before traffic returns to its original paths when the failure is repaired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.access_rules import access_rules, failover_routes
from helsewan.controller.rules.label_rules import Labels, assign_labels, ingress_groups, label_rules
from helsewan.controller.rules.paths import Failures, compute_paths
from helsewan.controller.update.recovery import labels_held, labels_not_held
from helsewan.controller.update.rule_diff import Step, both, step
from helsewan.policies.plan import Plan
from helsewan.topology.model import AccessLinkId

_INTACT = Failures()


@dataclass(frozen=True)
class CoreState:
    """Labels and core rules (by router id) for one state of the network."""

    failures: Failures
    labels: Labels
    rules: dict[str, RuleSet]


@dataclass(frozen=True)
class Generation:
    """The rules of all routers for one plan and one state of the network.

    ``access`` (by router id) depends on the plan; ``intact`` and ``current`` are the core for the network without
    failures and with the current ones; ``failover`` (by router id) are routes around ``access_links_down`` with a
    higher priority than the plan's."""

    plan: Plan
    access: dict[str, RuleSet]
    intact: CoreState
    current: CoreState
    access_links_down: frozenset[AccessLinkId] = frozenset()
    failover: dict[str, RuleSet] = field(default_factory=dict)

    @property
    def failures(self) -> Failures:
        """The failures that the rules take into account."""
        return replace(self.current.failures, access_links=self.access_links_down)

    @property
    def labels(self) -> Labels:
        """The labels that ingress routers push."""
        return self.current.labels

    @cached_property
    def core(self) -> dict[str, RuleSet]:
        """The rules, by router id, that depend on the state of the network."""
        core = self.current.rules
        if self.current is not self.intact:
            core = {router: both(rules, self.intact.rules[router]) for router, rules in core.items()}
        return {router: rules + self.failover[router] for router, rules in core.items()} if self.failover else core

    def rules(self, router: str) -> RuleSet:
        """All rules of a router."""
        return self.access[router] + self.core[router]

    def steps_to(self, new: Generation) -> dict[str, Step]:
        """The changes, by router id, from this generation to ``new``. Identical objects are not compared."""
        return {
            router: step(self.core[router], new.core[router])
            if self.access[router] is new.access[router]
            else step(self.rules(router), new.rules(router))
            for router in new.core
        }

    def with_plan(self, plan: Plan) -> Generation:
        """The generation for another policy and the same state of the network.

        Raises PipelineError if a number exceeds its field, and InputError if no labels are left."""
        access = access_rules(plan)
        kept = {router: old if old == access[router] else access[router] for router, old in self.access.items()}
        if (plan.egresses, plan.traffic) == (self.plan.egresses, self.plan.traffic):
            return replace(self, plan=plan, access=kept, failover=failover_routes(plan, self.access_links_down))
        intact = _core_state(plan, _INTACT, self.intact.labels, self.current.labels)
        return Generation(plan, kept, intact, intact)._in(self.failures, self.current.labels, self.intact.labels)

    def with_paths(self, failures: Failures) -> Generation:
        """The generation for the same policy and another state of the network; labels are kept where possible.

        Raises InputError if no labels are left."""
        if failures.core_only == self.current.failures:
            return self._with_access_links_down(failures.access_links)
        return self._in(failures, self.current.labels)

    def with_installed_labels(self, held: Mapping[str, RuleSet], failures: Failures) -> Generation:
        """The generation for the same policy and ``failures`` that uses the labels which switches already have, as far
        as possible. ``held`` has the entries of each switch by router id."""
        network, fresh = self.plan.network, self.with_paths(failures)
        known = labels_held(network, fresh.labels, fresh.current.rules, held)
        if failures.core_only == _INTACT:
            intact = _core_state(self.plan, _INTACT, known)
        else:
            intact = _core_state(self.plan, _INTACT, labels_not_held(self.intact.labels, known), known)
        return replace(self, intact=intact, current=intact)._in(failures, known)

    def _in(self, failures: Failures, *known: Labels) -> Generation:
        """The generation for ``failures`` with the labels of the intact network or of ``known`` where possible."""
        core = failures.core_only
        current = self.intact if core == _INTACT else _core_state(self.plan, core, self.intact.labels, *known)
        return replace(self._with_access_links_down(failures.access_links), current=current)

    def _with_access_links_down(self, down: frozenset[AccessLinkId]) -> Generation:
        return replace(self, access_links_down=down, failover=failover_routes(self.plan, down))


def first_generation(plan: Plan) -> Generation:
    """The rules of a network without failures."""
    intact = _core_state(plan, _INTACT)
    return Generation(plan, access_rules(plan), intact, intact)


def _core_state(plan: Plan, failures: Failures, *known: Labels) -> CoreState:
    """Labels and core rules for one state of the network; labels of ``known`` are kept where possible."""
    network, egresses = plan.network, plan.egresses
    paths = compute_paths(network, egresses, failures, plan.traffic)
    labels = assign_labels(paths, *known)
    core, ingress = label_rules(network, paths, labels), ingress_groups(network, egresses, paths, labels)
    return CoreState(failures, labels, {router: core[router] + RuleSet(groups=ingress[router]) for router in core})
