"""What the verifier finds under failures by reusing results of the intact network is what it finds by computing each
case anew: on random networks, policies and faults, in every single failure and shared-risk group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from oracle_networks import random_network, random_plan

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan
from helsewan.verification.comparison import Verification
from helsewan.verification.failures import cases, common_failures
from helsewan.verification.findings import FailureCase, FindingKind, VerificationFinding
from helsewan.verification.mutation.sampling import ALL_CELLS, mutants
from helsewan.verification.shares import shares_of_cases
from helsewan.verification.symbolic.static_model import Static
from helsewan.verification.symbolic.symbolic_executor import SymbolicExecutor

NETWORKS, FAULTS = int(os.environ.get("HELSEWAN_INCREMENTAL_NETWORKS", "2")), 6
FIRST = int(os.environ.get("HELSEWAN_INCREMENTAL_SEED", "1"))
# Where failures make a difference: half of the faults are there.
ON_PATHS = frozenset({"core", "vpn", "deliver", "other_line", "group"})
Summary = set[tuple[FindingKind, str, str, int, str | None, int, tuple[str | None, str | None]]]


def summary(findings: Sequence[VerificationFinding]) -> Summary:
    """Findings kind for kind and pair for pair."""
    return {(f.kind, f.case, f.site, f.access_link, f.towards, f.alike, f.roles) for f in findings}


def incremental(plan: Plan, rules: dict[str, RuleSet], states: Sequence[FailureCase]) -> Summary:
    verification = Verification(plan, Static(plan.network, rules, common_failures(states)))
    alone = summary(list(verification.partial_result(states).findings.values()))
    shares = shares_of_cases(states, 2, is_clean=False)
    assert alone == set().union(*(summary(list(verification.of_share(each).findings.values())) for each in shares))
    return alone


def anew(plan: Plan, rules: dict[str, RuleSet], states: Sequence[FailureCase]) -> Summary:
    """All packets of all access links, followed from the beginning in each case: nothing is taken from another."""
    verification, found = Verification(plan, Static(plan.network, rules)), []
    program = verification.static.program
    for case in states:
        executor = SymbolicExecutor(program, program.failure_bits(case.failures))
        found += verification.check_case(case, executor, is_clean=False).values()
    return summary(found)


def with_standing(failures: Failures, standing: Failures) -> Failures:
    return replace(failures, links=failures.links | standing.links)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + NETWORKS))
def test_reuse_under_failures_changes_no_finding(seed: int) -> None:
    rng = Random(seed)
    network = random_network(rng)
    plan = random_plan(rng, network)
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in network.routers}
    states = cases(network, "srlg")
    assert incremental(plan, rules, states) == anew(plan, rules, states) == set()
    under_failures_only = 0
    on_paths = [cell for cell in ALL_CELLS if cell[1] in ON_PATHS]
    for mutant in (*mutants(network, rules, FAULTS // 2, seed), *mutants(network, rules, FAULTS // 2, seed, on_paths)):
        faulty = rules | {mutant.router: mutant.apply(rules[mutant.router])}
        found = incremental(plan, faulty, states)
        assert found == anew(plan, faulty, states), str(mutant)
        under_failures_only += bool(found) and all(case != "intact" for _, case, *_ in found)
        standing = Failures(links=frozenset({rng.choice(network.links).id}))
        as_it_stands = [FailureCase(case.name, with_standing(case.failures, standing)) for case in states]
        assert incremental(plan, faulty, as_it_stands) == anew(plan, faulty, as_it_stands), f"{mutant}, {standing}"
    print(f"seed {seed}: {under_failures_only} of {FAULTS} faults show under failures only")
