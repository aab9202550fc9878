"""No false alarms: the rules of every policy of the library implement it, also in valid variations."""

from __future__ import annotations

import pytest
from policy_network import small_network

from helsewan.controller.rules.generation import Generation, first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.policies.compile import compile_policy, library_names, library_path, load_policy
from helsewan.policies.language.schema import AccessLinkUse
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network
from helsewan.verification.failures import INTACT, cases
from helsewan.verification.findings import FailureCase
from helsewan.verification.static import verify

pytestmark = pytest.mark.exhaustive

SMALLEST = 90  # about the minimum of sites of the national network


def plan_of(name: str, sites: int = 0, both_access_links: bool = False) -> Plan:
    """A policy of the library on the national network, or on one of three routers."""
    policy = load_policy(library_path(name))
    if both_access_links:
        vpns = {vpn: spec.model_copy(update={"lines": AccessLinkUse.BOTH}) for vpn, spec in policy.spec.vpns.items()}
        policy = type(policy)(policy.spec.model_copy(update={"vpns": vpns}), policy.document)
    return compile_policy(policy, national_network(sites) if sites else small_network())


def alarms(plan: Plan, generation: Generation, states: tuple[FailureCase, ...]) -> list[str]:
    """The violations that the verifier reports."""
    rules = {router.id: generation.rules(router.id) for router in plan.network.routers}
    return [f"{each.kind} {each.case}: {each.reason}" for each in verify(plan, rules, states).violations]


@pytest.mark.parametrize("name", library_names())
def test_every_policy_of_the_library_is_implemented_by_its_rules(name: str) -> None:
    plan = plan_of(name, SMALLEST)
    assert alarms(plan, first_generation(plan), cases(plan.network, "none")) == []


@pytest.mark.parametrize("both_access_links", [False, True], ids=["primary", "both"])
@pytest.mark.parametrize("name", ["national", "open"])
def test_it_is_implemented_under_every_single_failure(name: str, both_access_links: bool) -> None:
    plan = plan_of(name, both_access_links=both_access_links)
    assert alarms(plan, first_generation(plan), cases(plan.network, "srlg")) == []


def test_it_is_kept_once_paths_are_computed_anew() -> None:
    """Only while the failure lasts: these rules do not fit the intact network."""
    plan = plan_of("national")
    for failed in (Failures(links=frozenset({"r1-r2"})), Failures(routers=frozenset({"r3"}))):
        found = alarms(plan, first_generation(plan).with_paths(failed), (INTACT, FailureCase("anew", failed)))
        assert [each for each in found if " anew: " in each] == []
