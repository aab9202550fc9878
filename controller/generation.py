"""Each router's rules for one policy and one state of the network."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.core import Labels, assign_labels, core_rules, ingress_groups
from controller.difference import Step, step
from controller.edge import edge_rules
from controller.paths import Failures, compute_paths
from controller.rules import RuleSet
from policies.plan import Plan


@dataclass(frozen=True)
class Generation:
    """The rules, by router: ``edge`` follows from the plan, ``core`` from the network's state and the labels."""

    plan: Plan
    failures: Failures
    labels: Labels
    edge: dict[str, RuleSet]
    core: dict[str, RuleSet]

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
        """The same state of the network under another policy. Raises PipelineError where a number does not fit."""
        edge = edge_rules(plan)
        kept = {router: old if old == edge[router] else edge[router] for router, old in self.edge.items()}
        new = replace(self, plan=plan, edge=kept)
        same_paths = (plan.egresses, plan.traffic) == (self.plan.egresses, self.plan.traffic)
        return new if same_paths else new.with_paths(self.failures)

    def with_paths(self, failures: Failures, labels: Labels | None = None) -> Generation:
        """The same policy on another state of the network, going on with the labels there are.

        Raises PipelineError when there are no labels left."""
        new, core = _core(self.plan, failures, labels or self.labels)
        return replace(self, failures=failures, labels=new, core=core)


def first_generation(plan: Plan) -> Generation:
    """The rules of a network in which nothing has failed yet."""
    labels, core = _core(plan, Failures(), None)
    return Generation(plan, Failures(), labels, edge_rules(plan), core)


def _core(plan: Plan, failures: Failures, previous: Labels | None) -> tuple[Labels, dict[str, RuleSet]]:
    """What follows from the network's state."""
    network, egresses = plan.network, plan.egresses
    paths = compute_paths(network, egresses, failures, plan.traffic)
    labels = assign_labels(paths, previous)
    core, ingress = core_rules(network, paths, labels), ingress_groups(network, egresses, paths, labels)
    return labels, {router: core[router] + RuleSet(groups=ingress[router]) for router in core}
